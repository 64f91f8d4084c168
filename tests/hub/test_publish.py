"""recipes/publish.py: from a run folder to a folder in ``weights/`` and its manifest entry."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

from lowshotgan.hub import manifest
from lowshotgan.hub.manifest import load_manifest
from lowshotgan.hub.remote import resolve_model
from lowshotgan.hub.store import image_fingerprint, read_tensors
from lowshotgan.systems.base import load_system, make_config
from lowshotgan.systems.registry import system_class

ROOT = Path(__file__).resolve().parents[2]
NAME = "stylegan2_32.toy_v1"

ABOUT = """
[about]
name = "stylegan2_32.toy_v1"
summary = "Noise, for tests."
license = "CC-BY-4.0"
default = true
notes = "## Limits\\n\\nNever trained."
[about.preprocessing]
resolution = 32
fit = "crop"
[[about.data]]
name = "Nothing"
license = "CC0-1.0"
images = 0
"""


@pytest.fixture(scope="module")
def publish():
    spec = importlib.util.spec_from_file_location("publish_script", ROOT / "recipes/publish.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path):
    """A run folder whose model was never trained, its recipe, and a measurement."""
    found = system_class("stylegan2")
    model = found(make_config(found, {"resolution": 32, "channel_max": 8}), arch="stylegan2_32").eval()
    model.save_pretrained(tmp_path / "run" / "model")
    (tmp_path / "toy.toml").write_text(ABOUT)
    measured = [{"name": "KD-lsg1", "value": 1.5, "n": 100, "reference": "none", "protocol": "0a1b2c3d"}]
    (tmp_path / "metrics.json").write_text(json.dumps(measured))
    return model


def test_a_run_becomes_weights_that_load(tmp_path, run, publish, monkeypatch, capsys):
    weights = tmp_path / "weights"
    command = [str(tmp_path / "run"), "--about", str(tmp_path / "toy.toml"), "--weights", str(weights)]
    assert publish.main([*command, "--metrics", str(tmp_path / "metrics.json")]) == 0
    assert publish.main(["--check", "--weights", str(weights)]) == 0
    entry = load_manifest(weights / "manifest.json")[NAME]
    assert set(entry.files) == {
        "README.md",
        "config.json",
        "discriminator.safetensors",
        "model.safetensors",
        "preview.png",
    }
    assert entry.permissive
    assert (entry.system, entry.default, entry.licenses.data) == ("stylegan2", True, ("CC0-1.0",))
    assert entry.metrics[0]["protocol"] == "0a1b2c3d"
    card = (weights / NAME / "README.md").read_text()
    assert "| KD-lsg1 | 1.5 | 100 | none | `0a1b2c3d` |" in card
    assert "Never trained." in card
    with Image.open(weights / NAME / "preview.png") as picture:
        assert picture.width >= 8 * 32

    monkeypatch.setattr(manifest, "weights_folders", lambda: [weights])
    loaded = load_system(resolve_model("stylegan2_32", discriminator=True), name=NAME)
    assert image_fingerprint(loaded.generate(seeds=[0]).tensor[0]) == entry.fingerprint
    difference = (loaded.generate(2).tensor - run.generate(2).tensor).abs().max()
    assert difference < 0.05, "float16 on disk changes little"

    (weights / NAME / "README.md").write_text("changed")
    (weights / NAME / "stray.txt").write_text("left here")
    (weights / "unknown_1.x").mkdir()
    assert publish.main(["--check", "--weights", str(weights)]) == 1
    said = capsys.readouterr().out
    for problem in ("README.md differs", "stray.txt is not in the manifest", "unknown_1.x is not in the manifest"):
        assert problem in said


@pytest.mark.parametrize(
    ("line", "named"), [("", "2,000 real images"), ('reference = "the training images"\n', "the training images")]
)
def test_a_card_says_what_samples_were_compared_with(tmp_path, run, publish, line, named):
    score = {"name": "KD-lsg1", "value": 0.123456, "reliable": True}
    rough = {"name": "FD-lsg1", "value": 9.0, "reliable": False}
    protocol = {"id": "ab12", "n_real": 2000, "n_fake": 300}
    report = {"scores": {"kernel": score, "frechet": rough}, "protocol": protocol}
    (tmp_path / "metrics.json").write_text(json.dumps(report))
    (tmp_path / "toy.toml").write_text(ABOUT.replace("default", f"{line}default"))
    weights = tmp_path / "weights"
    command = [str(tmp_path / "run"), "--about", str(tmp_path / "toy.toml"), "--weights", str(weights)]
    assert publish.main([*command, "--metrics", str(tmp_path / "metrics.json")]) == 0
    card = (weights / NAME / "README.md").read_text()
    assert f"| KD-lsg1 | 0.1235 | 300 | {named} | `ab12` |" in card and "FD-lsg1" not in card


def test_published_scores_of_samples_name_their_reference():
    listed = [(name, metric) for name, entry in load_manifest().items() for metric in entry.metrics]
    counted = [
        (name, metric) for name, metric in listed if "/fake" in metric["protocol"] and "/real" in metric["protocol"]
    ]
    assert counted
    for name, metric in counted:
        assert f"/fake{metric['n']}/" in metric["protocol"] and metric["reference"], name


def test_publishing_again_in_place_keeps_the_card(tmp_path, run, publish):
    weights = tmp_path / "weights"
    about = ["--about", str(tmp_path / "toy.toml"), "--weights", str(weights)]
    assert publish.main([str(tmp_path / "run"), *about]) == 0
    before = read_tensors(weights / NAME / "model.safetensors")
    (weights / NAME / "README.md").write_text("by hand")
    assert publish.main([str(weights / NAME), *about]) == 0
    assert (weights / NAME / "README.md").read_text() == "by hand"
    after = read_tensors(weights / NAME / "model.safetensors")
    assert all((after[name] == before[name]).all() for name in before)
    assert publish.main(["--check", "--weights", str(weights)]) == 0


def test_twins_without_the_discriminator(tmp_path, publish):
    found = system_class("lado")
    sizes = {"resolution": 16, "width": 4, "content_dim": 4, "appearance_dim": 2, "adapted": True}
    found(make_config(found, sizes), arch="lado_16").eval().save_pretrained(tmp_path / "model")
    recipe = tmp_path / "toy.toml"
    about = ABOUT.replace("stylegan2_32", "lado_16").replace("default", "discriminator = false\ndefault")
    recipe.write_text(about.replace("[about]", '[about]\npreview_domain = "both"', 1))
    assert publish.main([str(tmp_path), "--about", str(recipe), "--weights", str(tmp_path / "weights")]) == 0
    folder = tmp_path / "weights" / "lado_16.toy_v1"
    assert (tmp_path / "model" / "discriminator.safetensors").exists()
    assert not (folder / "discriminator.safetensors").exists()
    with Image.open(folder / "preview.png") as picture:
        assert picture.width - picture.height == 8 * 16, "two images for each of 8 x 8 seeds"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("license = ", "# license = "), "lacks license"),
        (("default", "defualt"), "unknown keys defualt"),
        (("stylegan2_32.toy_v1", "stylegan2_64.toy_v1"), "is a stylegan2_32"),
        (("[about]", "[about"), "cannot be read"),
        (("[about", "[other"), "lacks name, summary, license, data"),
    ],
)
def test_an_about_table_that_cannot_be_used(tmp_path, run, publish, change, says, capsys):
    recipe = tmp_path / "toy.toml"
    recipe.write_text(ABOUT.replace(*change))
    command = [str(tmp_path / "run"), "--about", str(recipe), "--weights", str(tmp_path / "weights")]
    assert publish.main(command) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "weights").exists()
