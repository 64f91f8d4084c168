"""Sound: WAV files in and out, resampling, and log-mel pictures there and back."""

import math
import sys
import wave

import pytest
import torch

from lowshotgan.data.audio import LogMel, Sound, read_sound, resample
from lowshotgan.errors import ConfigError, ImageInputError, MissingExtraError


def tone(frequency, rate=8000, seconds=0.9, level=0.5):
    times = torch.arange(int(rate * seconds)) / rate
    return Sound(level * torch.sin(2 * math.pi * frequency * times), rate)


def write(path, data, *, width, channels=1, rate=8000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels), file.setsampwidth(width), file.setframerate(rate)
        file.writeframes(data)
    return path


def test_a_written_sound_is_read_back(tmp_path):
    sound = tone(440)
    again = read_sound(sound.save(tmp_path / "new" / "a.wav"))
    assert again.rate == 8000
    torch.testing.assert_close(again.samples, sound.samples, atol=1 / 32767, rtol=0)


@pytest.mark.parametrize(("width", "values"), [(1, [0, 128, 192]), (2, [-32768, 0, 16384]), (3, None), (4, None)])
def test_every_width_of_pcm_is_read(tmp_path, width, values):
    if width == 1:
        data = bytes(values)
    else:
        full = 2 ** (8 * width - 1)
        data = b"".join(v.to_bytes(width, "little", signed=True) for v in (-full, 0, full // 2))
    found = read_sound(write(tmp_path / "a.wav", data, width=width)).samples
    torch.testing.assert_close(found, torch.tensor([-1.0, 0.0, 0.5]))


def test_channels_are_averaged(tmp_path):
    data = b"".join(v.to_bytes(2, "little", signed=True) for v in (16384, 0, -16384, 16384))
    found = read_sound(write(tmp_path / "a.wav", data, width=2, channels=2)).samples
    torch.testing.assert_close(found, torch.tensor([0.25, 0.0]))


def test_unreadable_sounds_are_explained(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(ImageInputError, match="16-bit PCM"):
        read_sound(tmp_path / "a.wav")
    with pytest.raises(ImageInputError, match="no samples"):
        read_sound(write(tmp_path / "empty.wav", b"", width=2))
    with pytest.raises(ImageInputError, match="does not exist"):
        read_sound(tmp_path / "b.wav")
    with pytest.raises(ImageInputError, match="cannot be opened"):
        read_sound(tmp_path / f"{'long' * 99}.wav")
    monkeypatch.setattr("lowshotgan.data.audio.MAX_FILE_BYTES", 10)
    with pytest.raises(ImageInputError, match="512 MiB"):
        read_sound(tone(440).save(tmp_path / "large.wav"))
    with pytest.raises(ConfigError, match="rate must be a whole number"):
        Sound(torch.zeros(2), 16000.0)
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtraError, match=r"lowshotgan\[audio\]"):
        read_sound(tmp_path / "a.flac")
    with pytest.raises(ImageInputError, match="NaN"):
        Sound(torch.tensor([float("nan")]), 8000)


@pytest.mark.parametrize(("rate", "wanted"), [(16000, 8000), (44100, 8000), (8000, 11025)])
def test_resampling_keeps_a_tone(rate, wanted):
    found = resample(tone(700, rate).samples, rate, wanted)
    expected = tone(700, wanted).samples
    assert abs(len(found) - len(expected)) <= 1
    middle = slice(200, min(len(found), len(expected)) - 200)
    assert (found[middle] - expected[middle]).abs().max() < 0.02


@pytest.mark.parametrize(("rate", "wanted"), [(44099, 8000), (7919, 8000), (8000, 99991)])
def test_rates_without_a_common_factor_need_no_large_filter(rate, wanted, monkeypatch):
    made = []
    real = torch.sinc
    monkeypatch.setattr(torch, "sinc", lambda x: made.append(x.numel()) or real(x))
    found, expected = resample(tone(700, rate).samples, rate, wanted), tone(700, wanted).samples
    assert max(made) < 2e6
    assert len(found) == pytest.approx(len(expected), rel=2e-4)
    middle = slice(200, 2000)
    assert (found[middle] - expected[middle]).abs().max() < 0.02


def test_resampling_removes_what_the_new_rate_cannot_hold():
    assert resample(tone(6000, 16000).samples, 16000, 8000)[200:-200].abs().max() < 0.02


def test_a_tone_lights_its_band():
    transform = LogMel()
    torch.testing.assert_close(transform.filters.sum(dim=1), torch.ones(32))
    for frequency in (300, 1000, 2500):
        picture = transform.encode(tone(frequency))
        assert picture.shape == (1, 32, 32) and picture.min() >= -1 and picture.max() <= 1
        band = int(picture[0].mean(dim=1).argmax())
        centre = float((transform.filters[band] * torch.arange(257)).sum()) * 8000 / 512
        assert abs(centre - frequency) < 0.12 * frequency


def test_a_picture_becomes_a_sound_with_the_same_picture():
    transform = LogMel()
    times = torch.arange(transform.samples) / 8000
    harmonics = [torch.sin(2 * math.pi * k * (120 * times + 20 * times**2)) / k for k in range(1, 20)]
    noise = 0.01 * torch.randn(len(times), generator=torch.Generator().manual_seed(0))
    voice = Sound(torch.stack(harmonics).sum(dim=0) * torch.sin(math.pi * times / times[-1]) + noise, 8000)
    picture = transform.encode(voice)
    sound = transform.decode(picture)
    assert sound.rate == 8000 and len(sound.samples) == transform.samples
    again = transform.encode(sound)
    assert (picture - again).abs().mean() < 0.15
    assert torch.corrcoef(torch.stack([picture.flatten(), again.flatten()]))[0, 1] > 0.95
    assert ((picture[0].argmax(dim=0) - again[0].argmax(dim=0)).abs() <= 1).all()
    assert torch.equal(transform.decode(picture).samples, sound.samples)


def test_length_rate_and_silence():
    transform = LogMel()
    assert transform.samples == 6600
    short = transform.prepare(Sound(torch.full((100,), 0.25), 8000))
    assert len(short) == 6600 and short[:100].max() == 1.0 and not short[100:].any()
    assert len(transform.prepare(tone(400, 44100, 2.0))) == 6600
    with pytest.raises(ImageInputError, match="silent"):
        transform.encode(Sound(torch.zeros(8000), 8000))


@pytest.mark.parametrize("options", [{"high": 5000.0}, {"low": 4000.0}, {"window": 600}, {"mels": 0}, {"floor": 9.0}])
def test_unusable_transforms_are_refused(options):
    with pytest.raises(ConfigError):
        LogMel(**options)
