"""The command line on models that learn from pairs, from images on disk to a picture of both domains."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from lowshotgan.api import create_model
from lowshotgan.cli import run
from lowshotgan.data.images import to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.systems.registry import system_class
from lowshotgan.train.source import read_recipe

TINY = {
    "lado_32": {"resolution": 16, "content_dim": 6, "appearance_dim": 4, "width": 4},
    "genho_32": {"resolution": 16, "z_dim": 6, "width_base": 64, "width_max": 8},
    "pfsgan_32": {"resolution": 16, "width": 4, "encoder": "conv", "encoder_width": 4},
}
QUICK = {
    "lado_32": ["perceptual=disc", "align_steps=1"],
    "genho_32": ["perceptual=disc", "appearance_steps=1", "encoder_steps=1", "bank=60"],
    "pfsgan_32": ["features=random", "source_batch_size=4"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, style in (("photos", "flat"), ("drawings", "line")):
        (tmp_path / name).mkdir()
        for number, image in enumerate(to_pil(faces(5, resolution=16, style=style))):
            image.save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("arch", TINY)
def test_from_two_folders_to_both_domains(arch, folder, capsys):
    torch.manual_seed(0)
    create_model(arch, **TINY[arch]).save_pretrained(folder / "base")
    words = ["finetune", "drawings", "--partners", "photos", "-m", "base", "-o", "run", "--steps", "1", "--json"]
    for change in QUICK[arch]:
        words += ["--set", change]
    assert run([*words, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["source"]["count"] == 5
    assert not (folder / "run").exists()
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["steps"], told["stopped"]) == ("run/model", 1, "finished")
    assert run(["generate", "run", "--domain", "both", "--seeds", "0-2", "--grid", "both.png", "--columns", "1"]) == 0
    with Image.open("both.png") as sheet:
        assert sheet.size == (2 * 16 + 4, 3 * 18 + 2)
    assert run(["generate", "run", "--content", "photos", "--output", "mixed"]) == 0
    assert len(list((folder / "mixed").iterdir())) == 5


def test_shots_without_partners_say_what_is_missing(folder, capsys):
    create_model("lado_32", **TINY["lado_32"]).save_pretrained(folder / "base")
    assert run(["finetune", "drawings", "-m", "base", "-o", "run"]) == 1
    assert "partners" in capsys.readouterr().err
    assert not (folder / "run").exists()


def test_recipe_of_pfsgan_names_known_settings():
    recipe = read_recipe(Path(__file__).parents[1] / "recipes" / "pfsgan_32.fashion.toml")
    assert system_class("pfsgan").Training(**recipe.train).features == "lsg1"
    assert recipe.build().config.encoder == "conv"


@pytest.mark.parametrize("name", ["lado_64.avatars", "lado_64.fluent", "genho_64.avatars", "genho_64.fluent"])
def test_recipes_name_known_settings(name):
    recipe = read_recipe(Path(__file__).parents[1] / "recipes" / f"{name}.toml")
    settings = system_class(recipe.arch.partition("_")[0]).Training(**recipe.train)
    assert recipe.arch == name.partition(".")[0] and settings.batch_size == 64
    assert recipe.data["fit"] in ("crop", "pad")
