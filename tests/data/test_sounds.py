"""Recordings in folders and zips: names, labels, choice, damage, and what is told about rates and channels."""

import logging
import wave
import zipfile

import numpy as np
import pytest
import torch

from lowshotgan.data.audio import Sound
from lowshotgan.data.sounds import open_sounds
from lowshotgan.errors import ConfigError, ImageInputError
from lowshotgan.systems.syncgan.modalities import SpectrogramModality

NOISE = torch.randn(7000, generator=torch.Generator().manual_seed(0)) / 9


@pytest.fixture
def spoken(tmp_path):
    """The same four recordings as a folder and as a zip."""
    for name in ("1/ann_00.wav", "0/bob_01.wav", "0/ann_00.wav", "0/ann_01.wav"):
        Sound(NOISE.roll(len(name) + int(name[0])), 8000).save(tmp_path / "all" / name)
    (tmp_path / "all" / "index.csv").write_text("file\n")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in (tmp_path / "all").rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path / "all").as_posix())
    return tmp_path


def test_a_folder_and_a_zip_hold_the_same(spoken):
    folder, archive = open_sounds(spoken / "all"), open_sounds(str(spoken / "all.zip"))
    assert [one.name for one in folder] == ["0/ann_00.wav", "0/ann_01.wav", "0/bob_01.wav", "1/ann_00.wav"]
    assert [one.label for one in archive] == ["0", "0", "0", "1"]
    assert [one.name for one in folder] == [one.name for one in archive]
    for a, b in zip(folder, archive, strict=True):
        assert torch.equal(a.read().samples, b.read().samples)


def test_recordings_are_chosen_by_name(spoken):
    names = [one.name for one in open_sounds(spoken / "all.zip", include=["0"], exclude=["*_00.wav"])]
    assert names == ["0/ann_01.wav", "0/bob_01.wav"]
    with pytest.raises(ImageInputError, match="matches no recording"):
        open_sounds(spoken / "all", include=["2"])
    with pytest.raises(ImageInputError, match="leaves no recording"):
        open_sounds(spoken / "all", exclude=["*"])
    with pytest.raises(ConfigError, match="include and exclude"):
        open_sounds([Sound(NOISE, 8000)], include=["0"])


def test_files_and_objects_may_be_mixed(spoken):
    path = spoken / "all" / "1" / "ann_00.wav"
    found = open_sounds([path, Sound(NOISE, 8000), (NOISE, 16000)])
    assert [one.label for one in found] == ["1", None, None]
    assert [one.read().rate for one in found] == [8000, 8000, 16000]
    assert open_sounds((NOISE.numpy(), np.int64(8000)))[0].read().rate == 8000
    with pytest.raises(ImageInputError, match="cannot use a int"):
        open_sounds([3])[0].read()
    with pytest.raises(ImageInputError, match="cannot use a NoneType"):
        open_sounds(None)
    with pytest.raises(ImageInputError, match="must be numbers"):
        open_sounds((["loud"], 8000))[0].read()


def test_a_zip_of_a_windows_program_has_folders(spoken, tmp_path):
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
        archive.writestr("sounds\\1\\ann_00.wav", (spoken / "all" / "1" / "ann_00.wav").read_bytes())
    (found,) = open_sounds(tmp_path / "windows.zip")
    assert (found.name, found.label, found.read().rate) == ("sounds/1/ann_00.wav", "1", 8000)


def test_damage_is_named(spoken, tmp_path):
    (spoken / "all" / "0" / "bob_01.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(ImageInputError, match=r"bob_01.wav"):
        SpectrogramModality.spoken().read(spoken / "all")
    (tmp_path / "none").mkdir()
    with pytest.raises(ImageInputError, match="holds no sound files"):
        open_sounds(tmp_path / "none")


def test_other_rates_and_channels_are_told_once(tmp_path, caplog):
    paths = []
    for index in range(2):
        paths.append(tmp_path / f"{index}.wav")
        with wave.open(str(paths[-1]), "wb") as file:
            file.setnchannels(2), file.setsampwidth(2), file.setframerate(16000)
            file.writeframes((NOISE.repeat(2) * 3e4).short().numpy().tobytes())
    with caplog.at_level(logging.INFO, logger="lowshotgan"):
        values = SpectrogramModality.spoken().read(tmp_path)
    assert values.shape == (2, 1, 32, 32)
    told = [record.message for record in caplog.records]
    assert told == [
        "2 of 2 recordings were resampled from 16000 to 8000 samples per second.",
        "2 of 2 recordings were brought from 2 channels to their mean.",
    ]


def test_spectrograms_are_taken_as_they_are():
    modality = SpectrogramModality.spoken()
    values = modality.read([Sound(NOISE, 8000)])
    assert torch.equal(modality.read(values), values)
    with pytest.raises(ImageInputError, match="1, 32, 32"):
        modality.read(values[:, :, :16])
