"""WAV files by their chunks: codings, widths, damage, and what the error says to do."""

import struct
import sys
import types

import numpy as np
import pytest
import torch

from lowshotgan.data.audio import read_sound
from lowshotgan.data.wav import WavError, decode_wav
from lowshotgan.errors import ImageInputError, MissingExtraError

GUID = bytes.fromhex("000000001000800000aa00389b71")
VALUES = [-1.0, 0.0, 0.5, 0.25]


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def wav(content, *, coding, bits, channels=1, extensible=False, rate=8000, before=b""):
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else coding, channels, rate, rate * block, block, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, coding) + GUID
    body = b"WAVE" + chunk(b"fmt ", form) + before + chunk(b"data", content)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def integers(width):
    full = 2 ** (8 * width - 1)
    if width == 1:
        return bytes(int(128 + 128 * v) for v in VALUES)
    return b"".join(int(full * v).to_bytes(width, "little", signed=True) for v in VALUES)


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("coding", "bits", "content"),
    [(1, 8 * width, integers(width)) for width in (1, 2, 3, 4)]
    + [(3, 32, np.array(VALUES, "<f4").tobytes()), (3, 64, np.array(VALUES, "<f8").tobytes())],
)
def test_numbers_are_read_in_every_form(tmp_path, coding, bits, content, extensible):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(content, coding=coding, bits=bits, extensible=extensible, before=chunk(b"LIST", b"odd")))
    found = read_sound(path)
    assert found.rate == 8000 and found.channels == 1
    torch.testing.assert_close(found.samples, torch.tensor(VALUES))


def test_channels_lie_side_by_side():
    samples, rate = decode_wav(wav(integers(2), coding=1, bits=16, channels=2, rate=44100))
    assert rate == 44100 and samples.tolist() == [[-1.0, 0.0], [0.5, 0.25]]


def test_a_file_cut_short_gives_what_there_is():
    whole = wav(integers(2), coding=1, bits=16)
    assert decode_wav(whole[:-3])[0].flatten().tolist() == VALUES[:2]
    endless = whole.replace(b"data" + struct.pack("<I", 8), b"data" + b"\xff" * 4)
    assert decode_wav(endless)[0].flatten().tolist() == VALUES


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFFnothing", b"ID3" + bytes(40), wav(b"", coding=1, bits=16)[:30], wav(b"", coding=3, bits=16),
     wav(b"", coding=1, bits=16, channels=0), wav(b"", coding=1, bits=40),
     wav(integers(2), coding=1, bits=16, rate=2_000_000_011)],
)  # fmt: skip
def test_other_bytes_are_refused(data):
    with pytest.raises(WavError):
        decode_wav(data)


def test_compressed_samples_are_left_to_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(bytes(4), coding=6, bits=8))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(
        MissingExtraError, match=r"a.wav \(its coding is A-law\) needs.*lowshotgan\[audio\].*16-bit PCM"
    ):
        read_sound(path)
    reader = types.SimpleNamespace(read=lambda source, always_2d: (np.full((5, 2), 0.25), 16000))
    monkeypatch.setitem(sys.modules, "soundfile", reader)
    found = read_sound(path)
    assert found.samples.tolist() == [0.25] * 5 and (found.rate, found.channels) == (16000, 2)


def test_floats_that_are_no_sound_are_refused_by_name(tmp_path):
    path = tmp_path / "broken.wav"
    path.write_bytes(wav(np.array([0.1, np.nan], "<f4").tobytes(), coding=3, bits=32))
    with pytest.raises(ImageInputError, match=r"broken.wav holds NaN"):
        read_sound(path)
