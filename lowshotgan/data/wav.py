"""WAV files of whole numbers or floats, read by their chunks.

RIFF <size> WAVE, then chunks of <name> <size> <content>, each padded to an even length:
fmt   coding, channels, rate, bytes of a sample; the extensible form (coding 0xFFFE) names the coding in 16 bytes more
data  the samples, channel by channel within each moment
"""

import struct
from collections.abc import Iterator

import numpy as np

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
CODINGS = {2: "ADPCM", 6: "A-law", 7: "mu-law", 17: "ADPCM", 85: "MP3"}
"""Names of some codings that are not read here, for messages."""
LARGEST_RATE = 1_000_000
"""Samples per second above which a header is damaged."""


class WavError(ValueError):
    """Bytes that are no WAV file, or not a whole one."""


class CodingError(WavError):
    """A WAV file of a kind that is not read here: compressed samples, big-endian ones, more than 4 GB."""


def decode_wav(data: bytes) -> tuple[np.ndarray, int]:
    """``(n, channels)`` float64 samples and their rate; whole numbers are scaled to [-1, 1], floats are left as they are.

    A file that was cut short gives the samples there are.

    Raises:
        CodingError: for a kind of WAV that other readers may know.
        WavError: for anything else that cannot be read.
    """
    if data[:4] in (b"RF64", b"RIFX"):
        raise CodingError(f"it is of the kind {data[:4].decode()}")
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("it does not begin as a WAV file does")
    form = content = None
    for name, chunk in _chunks(data):
        if name == b"fmt ":
            form = chunk
        elif name == b"data" and content is None:
            content = chunk
    if form is None or content is None or len(form) < 16:
        raise WavError("it has no form or no samples")
    coding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    if coding == EXTENSIBLE and len(form) >= 26:
        (coding,) = struct.unpack("<H", form[24:26])
    if coding not in (PCM, FLOAT):
        raise CodingError(f"its coding is {CODINGS.get(coding, hex(coding))}")
    width = -(-bits // 8)
    if not channels or not 0 < rate <= LARGEST_RATE or width not in ((4, 8) if coding == FLOAT else (1, 2, 3, 4)):
        raise WavError(f"it has {channels} channels of {bits} bits at {rate} samples per second")
    whole = content[: len(content) // (width * channels) * width * channels]
    samples = np.frombuffer(whole, f"<f{width}").astype(np.float64) if coding == FLOAT else _integers(whole, width)
    return samples.reshape(-1, channels), rate


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each; a size beyond the end, as recorders leave it that were stopped, means up to the end."""
    place = 12
    while place + 8 <= len(data):
        (size,) = struct.unpack("<I", data[place + 4 : place + 8])
        yield data[place : place + 4], data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _integers(data: bytes, width: int) -> np.ndarray:
    """Little-endian samples of so many bytes, in [-1, 1]; those of one byte have no sign."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
    padded = np.zeros((len(data) // width, 4), np.uint8)
    padded[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)  # at the top, where the sign is
    return padded.reshape(-1).view("<i4").astype(np.float64) / 2**31
