"""Sound in and out: WAV files, resampling, log-mel spectrograms and the way back to a waveform.

samples (n,) -> power spectrogram -> mel bands -> log10, clipped, in [-1, 1] -> (1, mels, frames)
"""

import io
import math
import wave
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from lowshotgan.checks import whole
from lowshotgan.data.decode import MAX_FILE_BYTES
from lowshotgan.data.wav import CodingError, WavError, decode_wav
from lowshotgan.errors import ConfigError, ImageInputError, MissingExtraError
from lowshotgan.types import PathLike

SILENCE = 1e-4
"""Largest sample below which a recording counts as silent."""
LOUDEST = 1e6
"""Samples of this size, where 1 is full scale, are no sound."""
ROUNDS = 60
"""Griffin-Lim iterations."""
LARGEST_STEP = 1000
"""Samples after which a resampling filter repeats, wherever that is accurate enough."""


@dataclass(frozen=True)
class Sound:
    """A mono recording.

    Attributes:
        samples: ``(n,)`` float32, usually in [-1, 1].
        rate: samples per second.
        channels: of the file it was read from, which were averaged.
    """

    samples: Tensor
    rate: int
    channels: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", whole("rate", self.rate))
        if self.samples.ndim != 1 or not len(self.samples):
            raise ImageInputError(f"a sound must be (n,) samples with n >= 1, got {tuple(self.samples.shape)}.")
        if not torch.isfinite(self.samples).all():
            raise ImageInputError("a sound holds NaN or infinite samples; replace them.")

    def save(self, path: PathLike) -> Path:
        """Write a 16-bit mono WAV and return its path; samples beyond [-1, 1] are clipped."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = (self.samples.float().clamp(-1, 1) * 32767).round().to(torch.int16)
        values = levels.cpu().numpy().astype("<i2")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(values.tobytes())
        return path


def read_sound(path: PathLike) -> Sound:
    """Read a recording; several channels are averaged.

    ``.wav`` of whole numbers (8 to 32 bits) or floats needs nothing; compressed ones and other formats need the ``audio``
    extra.

    Raises:
        ImageInputError: if the file cannot be read.
        MissingExtraError: for another format without the extra.
    """
    path = Path(path).expanduser()
    try:
        if not path.is_file():
            raise ImageInputError(f"{path} does not exist or is no file; check the path.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImageInputError(f"{path} is larger than 512 MiB; cut the recording into shorter files.")
        data = path.read_bytes()
    except OSError as error:
        raise ImageInputError(f"{path} cannot be opened ({error}); check the path and its permissions.") from error
    return decode_sound(data, str(path))


def decode_sound(data: bytes, name: str) -> Sound:
    """The recording in the content of a sound file; ``name``, whose ending tells the format, is what errors call it.

    Raises:
        ImageInputError: if it cannot be read or holds no samples.
        MissingExtraError: for another format than an uncompressed WAV without the extra.
    """
    samples, rate = _read_wav(data, name) if name.lower().endswith(".wav") else _read_other(io.BytesIO(data), name)
    if not len(samples):
        raise ImageInputError(f"{name} holds no samples; record it again or leave it out.")
    if not (np.abs(samples) < LOUDEST).all():
        raise ImageInputError(f"{name} holds NaN, infinite or absurdly loud samples; export it again or leave it out.")
    return Sound(torch.from_numpy(samples.mean(axis=1).astype(np.float32)), rate, samples.shape[1])


def resample(samples: Tensor, rate: int, wanted: int, *, width: int = 16) -> Tensor:
    """Bring ``(n,)`` samples from one rate to another by a Hann-windowed sinc filter.

    Args:
        samples: the recording.
        rate: its samples per second.
        wanted: those of the result.
        width: zero crossings of the filter on each side.
    """
    if rate == wanted:
        return samples
    before, after = _steps(rate, wanted)
    cutoff = min(before, after) * 0.97
    reach = math.ceil(width * before / cutoff)
    places = torch.arange(-reach, reach + before, dtype=torch.float64) / before
    times = (places[None] - torch.arange(after, dtype=torch.float64)[:, None] / after) * cutoff
    window = torch.cos(times.clamp(-width, width) * math.pi / width / 2) ** 2
    kernel = (torch.sinc(times) * window * cutoff / before).float().to(samples.device)  # (after, 2 reach + before)
    padded = torch.nn.functional.pad(samples.float(), (reach, reach + before))
    found = torch.nn.functional.conv1d(padded[None, None], kernel[:, None], stride=before)[0]  # (after, steps)
    return found.T.flatten()[: math.ceil(len(samples) * after / before)]


def _steps(rate: int, wanted: int) -> tuple[int, int]:
    """How many samples of either rate last equally long; for rates with no such small numbers, to within 1 in 10,000.

    The filter has so many rows and columns, and rates that share no factor would ask for gigabytes of them.
    """
    exact, most = Fraction(min(rate, wanted), max(rate, wanted)), LARGEST_STEP
    share = exact.limit_denominator(most)
    while abs(share / exact - 1) > 1e-4:
        most *= 2
        share = exact.limit_denominator(most)
    few, many = share.numerator, share.denominator
    return (few, many) if rate < wanted else (many, few)


@dataclass(frozen=True)
class LogMel:
    """Turns a recording into a picture of ``mels`` bands and ``frames`` moments, and such a picture into a recording.

    Attributes:
        mels: bands.
        frames: moments.
        rate: samples per second; other rates are resampled.
        window: of the Fourier transform, in samples (Hann).
        hop: between two moments.
        size: of the Fourier transform.
        low: lowest frequency in Hz.
        high: highest frequency in Hz.
        floor: log10 power that becomes -1.
        ceiling: log10 power that becomes 1; a tone as loud as can be reaches about 4 with a window of 400.
    """

    mels: int = 32
    frames: int = 32
    rate: int = 8000
    window: int = 400
    hop: int = 200
    size: int = 512
    low: float = 60.0
    high: float = 3900.0
    floor: float = -4.0
    ceiling: float = 4.0

    def __post_init__(self) -> None:
        for name in ("mels", "frames", "rate", "window", "hop", "size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}.")
        if not 0 <= self.low < self.high <= self.rate / 2:
            raise ConfigError(
                f"low and high must rise and lie within 0 to rate / 2 = {self.rate / 2:g}, got {self.low:g}, {self.high:g}."
            )
        if not self.window <= self.size or not self.floor < self.ceiling:
            raise ConfigError("window must not exceed size, and floor must lie below ceiling.")

    @property
    def samples(self) -> int:
        """Length of a recording that fills the picture."""
        return (self.frames - 1) * self.hop + self.window

    @cached_property
    def filters(self) -> Tensor:
        """``(mels, size / 2 + 1)`` triangles, even on the mel scale, each summing to 1."""
        edges = torch.linspace(_mel(self.low), _mel(self.high), self.mels + 2, dtype=torch.float64)
        edges = 700 * (10 ** (edges / 2595) - 1)
        bins = torch.arange(self.size // 2 + 1, dtype=torch.float64) * self.rate / self.size
        rising = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
        falling = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
        triangles = torch.minimum(rising, falling).clamp(min=0)
        nearest = (bins[None] - edges[1:-1, None]).abs().argmin(dim=1)
        triangles[torch.arange(self.mels), nearest] += 1e-9  # a band narrower than a bin still has one
        return (triangles / triangles.sum(dim=1, keepdim=True)).float()

    def prepare(self, sound: Sound) -> Tensor:
        """``(samples,)`` at the right rate, with peak 1, cut or padded with silence on the right.

        Raises:
            ImageInputError: for a silent recording.
        """
        samples = resample(sound.samples.float(), sound.rate, self.rate)[: self.samples]
        peak = float(samples.abs().max())
        if peak < SILENCE:
            raise ImageInputError("a recording is silent where it is listened to; leave it out or record it again.")
        return torch.nn.functional.pad(samples / peak, (0, self.samples - len(samples)))

    def encode(self, sound: Sound) -> Tensor:
        """``(1, mels, frames)`` in [-1, 1]; see ``prepare`` for what is refused."""
        power = self._transform(self.prepare(sound)).abs().square()  # (bins, frames)
        level = (self.filters @ power + 1e-6).log10().clamp(self.floor, self.ceiling)
        return ((level - self.floor) / (self.ceiling - self.floor) * 2 - 1)[None]

    def decode(self, picture: Tensor, *, rounds: int = ROUNDS) -> Sound:
        """The recording of ``(1, mels, frames)``, by pseudo-inverse bands and Griffin-Lim phases, with peak 0.9.

        The phases start from a fixed draw, so the same picture always sounds the same.
        """
        level = (picture[0].cpu().double().clamp(-1, 1) + 1) / 2 * (self.ceiling - self.floor) + self.floor
        power = torch.linalg.pinv(self.filters.double()) @ (10**level - 10**self.floor).clamp(min=0)
        magnitude = power.clamp(min=0).sqrt().float()
        start = torch.Generator().manual_seed(0)
        angle = torch.rand(magnitude.shape, generator=start) * 2 * math.pi
        spectrum = torch.polar(magnitude, angle)
        for _ in range(rounds):
            again = self._transform(self._inverse(spectrum))
            spectrum = torch.polar(magnitude, again.angle())
        samples = self._inverse(spectrum)
        return Sound(0.9 * samples / samples.abs().max().clamp(min=SILENCE), self.rate)

    def _transform(self, samples: Tensor) -> Tensor:
        """``(bins, frames)`` complex; moment t starts at sample t times hop."""
        pieces = samples.unfold(0, self.window, self.hop) * torch.hann_window(self.window)
        spectrum: Tensor = torch.fft.rfft(pieces, n=self.size).T
        return spectrum

    def _inverse(self, spectrum: Tensor) -> Tensor:
        """The samples whose transform is nearest to ``spectrum``: overlapping pieces, weighted by their windows."""
        window = torch.hann_window(self.window)
        pieces = torch.fft.irfft(spectrum.T, n=self.size)[:, : self.window] * window
        total, weight = torch.zeros(self.samples), torch.zeros(self.samples)
        for index, piece in enumerate(pieces):
            start = index * self.hop
            total[start : start + self.window] += piece
            weight[start : start + self.window] += window.square()
        return total / weight.clamp(min=0.1)  # the ends, which one window alone covers thinly, fade instead


def _mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)


def _read_wav(data: bytes, name: str) -> tuple[np.ndarray, int]:
    """``(n, channels)`` and the rate; a compressed one is left to the extra."""
    try:
        return decode_wav(data)
    except CodingError as error:
        return _read_other(io.BytesIO(data), f"{name} ({error})")
    except WavError as error:
        raise ImageInputError(f"{name} is not a readable WAV ({error}); save it as 16-bit PCM.") from error


def _read_other(source: BinaryIO, name: str) -> tuple[np.ndarray, int]:
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError(
            f'{name} needs: pip install "lowshotgan[audio]"; or save it as a 16-bit PCM .wav.'
        ) from error
    try:
        samples, rate = soundfile.read(source, always_2d=True)
    except (RuntimeError, OSError) as error:
        raise ImageInputError(f"{name} cannot be read as sound ({error}); save it as a 16-bit PCM .wav.") from error
    return np.asarray(samples), int(rate)
