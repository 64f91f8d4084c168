"""The commands of the README, for real: a tiny random model adapted to four drawn faces, then used."""

import json

import pytest
from PIL import Image

from lowshotgan.cli import run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with ``base/`` (a model folder) and ``photos/`` (four images)."""
    from lowshotgan.api import create_model
    from lowshotgan.data.synthetic import faces

    folder = tmp_path_factory.mktemp("cli")
    tiny = {"channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}
    create_model("stylegan2_32", **tiny).save_pretrained(folder / "base")
    (folder / "photos").mkdir()
    for i, pixels in enumerate(faces(4, resolution=32, seed=0)):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / "photos" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def adapted(place):
    words = ["finetune", "photos", "--model", "base", "--output", "run", "--recipe", "tgan", "--precision", "fp32"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert run([*words, "--steps", "2", "--batch-size", "2", "--seed", "1", "-q"]) == 0
    return place / "run"


@pytest.fixture(autouse=True)
def in_place(place, monkeypatch):
    monkeypatch.chdir(place)


def test_dry_run_prints_the_settings_and_writes_nothing(place, capsys):
    assert run(["finetune", "photos", "-m", "base", "-o", "dry", "-r", "cdc", "--set", "lr=0.5", "-n", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)
    assert settings["recipe"]["lr"] == 0.5
    assert settings["images"]["k"] == 4
    assert not (place / "dry").exists()


def test_the_run_folder(adapted, capsys):
    assert {"config.json", "report.html", "report.json", "model"} <= {path.name for path in adapted.iterdir()}
    assert run(["info", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["seed"] == 1


def test_generate_grid_and_blend(adapted, place):
    assert run(["generate", "run", "--seeds", "0-3", "--blend", "0.5", "--grid", "a.png", "-o", "pngs"]) == 0
    assert len(list((place / "pngs").glob("*.png"))) == 4
    with Image.open("a.png") as grid:
        assert min(grid.size) >= 64
    assert run(["generate", "base", "--seeds", "0-3", "--grid", "base.png"]) == 0


def test_interpolate(adapted):
    assert run(["interpolate", "run", "--seeds", "0,1", "--frames", "4", "-o", "walk.gif"]) == 0
    with Image.open("walk.gif") as walk:
        assert walk.n_frames == 4


def test_project(adapted, place):
    assert run(["project", "run", "photos/0.png", "-o", "found", "--steps", "2"]) == 0
    assert (place / "found" / "projection.png").exists()


def test_evaluate(adapted, capsys):
    assert run(["evaluate", "run", "photos", "--train", "photos", "--n", "8", "--json"]) == 0
    assert "kernel" in json.loads(capsys.readouterr().out)["scores"]


def test_train_and_its_dry_run(place, capsys):
    words = ["train", "stylegan2_32", "--data", "photos", "--steps", "1", "--batch-size", "2"]
    assert run([*words, "-o", "source", "-n", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 1
    assert not (place / "source").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["generate", "stylegan2_64.avatar_v1", "--grid", "a.png"], "stylegan2_64.avatar_v1"),
        (["generate", "photos", "--grid", "a.png"], "config.json"),
        (["finetune", "photos", "-m", "base", "-o", "o", "-r", "cdx"], "cdc"),
        (["finetune", "photos/0.png", "-m", "nowhere", "-o", "o"], "nowhere"),
        (["finetune", "photos", "-m", "base", "-o", "o", "--set", "lrate=3"], "lrate"),
        (["list", "--verb", "generat"], "generate"),
        (["train", "stylegan2_63", "--data", "photos", "-o", "o"], "stylegan2_64"),
        (["train", "stylegan2_32", "-o", "o"], "--data"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(place, capsys, words, part):
    assert run(words) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")
    assert part in said
    assert not (place / "o").exists()
