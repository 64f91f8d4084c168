"""The command ``transfer`` and ``generate --modality``, with a tiny model on disk."""

import json
import wave

import pytest
import torch
from PIL import Image

from lowshotgan.api import create_model
from lowshotgan.cli import run


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a picture and a model of pictures and sound."""
    folder = tmp_path_factory.mktemp("world")
    torch.manual_seed(0)
    lines = ("image=image:1x16x16", "audio=logmel:1x16x16@8000/400/400/512/60-3900")
    create_model("syncgan_32", resolution=16, modalities=lines, width=4, concept_dim=4, private_dim=2).save_pretrained(
        folder / "digits"
    )
    Image.new("L", (20, 20), 90).save(folder / "seven.png")
    return folder


def test_a_picture_becomes_a_sound(world, tmp_path, capsys):
    arguments = [
        "transfer",
        str(world / "digits"),
        str(world / "seven.png"),
        "--to",
        "audio",
        "--steps",
        "3",
        "-n",
        "2",
    ]
    assert run([*arguments, "--output", str(tmp_path / "heard"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["files"]) == len(told["error"]) == 2
    with wave.open(told["files"][0], "rb") as file:
        assert (file.getnchannels(), file.getframerate()) == (1, 8000) and file.getnframes() == 15 * 400 + 400


def test_one_modality_or_all_are_drawn(world, tmp_path):
    for options, names in ((["--modality", "audio"], ["seed000003_audio.wav"]), ([], None)):
        place = tmp_path / str(len(options))
        assert run(["generate", str(world / "digits"), "--seeds", "3", "--output", str(place), *options]) == 0
        found = sorted(path.name for path in place.iterdir())
        assert found == (names or ["seed000003_audio.wav", "seed000003_image.png"])


def test_unknown_modalities_are_named(world, tmp_path, capsys):
    arguments = ["transfer", str(world / "digits"), str(world / "seven.png"), "--to", "smell"]
    assert run([*arguments, "--output", str(tmp_path / "o")]) == 1
    assert "to must be one of audio, image" in capsys.readouterr().err and not (tmp_path / "o").exists()
