"""``push_to_hub`` of every system, and loading what was pushed, against the hub on loopback."""

import importlib.util
import inspect
import json
from pathlib import Path

import pytest
import torch

from lowshotgan.api import create_model, load
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.finetune.recipe import parse_trainables
from lowshotgan.hub.store import state_digest
from lowshotgan.systems.registry import SYSTEMS
from lowshotgan.systems.stylegan2.system import StyleGAN2

FACTS = {
    "recipe": "wedit",
    "settings": {"lr": 0.01},
    "images": 7,
    "steps": 40,
    "chosen_step": 30,
    "base": {"name": "stylegan2", "revision": None, "sha256": "ab12"},
    "preprocessing": {"fit": "pad", "width": None},
    "measured": [{"name": "KD-lsg1", "value": 0.02, "n": 128, "reference": "its own 7 training images"}],
}
CONTRACT = Path(__file__).parents[1] / "contract"

PUSH_AND_LOAD = """
from lowshotgan.api import load
from lowshotgan.hub.store import state_digest
found = {}
for name in names:
    url = load(name).push_to_hub(f'me/{name}', commit_message=f'the {name}', license='CC0-1.0')
    again = load(f'hf-hub:me/{name}')
    found[name] = [url, type(again).__name__, state_digest(again.state_dict()), again.source_name]
answer(found)
"""


def tiny_models():
    """Arguments of a tiny model of each system, from the contract tests."""
    for name in ("test_systems", "test_translators"):
        spec = importlib.util.spec_from_file_location(f"tiny_models_of_{name}", CONTRACT / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield from module.TINY.items()


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder for each system, and one of a fine-tuned model; all in the working folder."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    for name, (arch, config) in tiny_models():
        create_model(arch, **config).save_pretrained(name)
    base = load("stylegan2")
    adapted = AdaptedGenerator(base.generator, parse_trainables("w_offset"))
    adapted.load_delta({name: value + 0.5 for name, value in adapted.delta().items()})
    tuned = StyleGAN2.from_adapted(adapted, like=base, base_name="stylegan2")
    tuned.details["finetuning"] = FACTS
    tuned.save_pretrained("tuned")
    return [*SYSTEMS, "tuned"]


def test_every_system_is_pushed_whole_and_loads_again(hub, process, models, tmp_path):
    found = process(f"names = {models!r}\n{PUSH_AND_LOAD}", endpoint=hub.endpoint, timeout=500)
    assert sorted(found) == sorted(models)
    for name, (url, kind, digest, source) in found.items():
        model = load(name)
        assert (kind, digest) == (type(model).__name__, state_digest(model.state_dict())), name
        commit = url.rpartition("/")[2]
        assert source == f"hf-hub:me/{name}@{commit}"
        assert hub.repositories[f"me/{name}"].messages == [f"the {name}"]
        pushed = hub.files(f"me/{name}", commit)
        written = {path.name for path in (tmp_path / name).iterdir()}
        picture = {"preview.png"} if "seeds" in inspect.signature(model.generate).parameters else set()
        assert set(pushed) == written | {"README.md"} | picture, name
        card = pushed["README.md"].decode()
        assert f'load("hf-hub:me/{name}")' in card and f"- {model.arch}" in card and "base_model" not in card
        assert ("(preview.png)" in card) == bool(picture)
    card = hub.files("me/tuned")["README.md"].decode()
    for part in (
        "- k-shot:7",
        "license: cc0-1.0",
        "Recipe: `wedit`",
        "for 40 steps",
        "`ab12`",
        "| KD-lsg1 | 0.02 | 128 |",
    ):
        assert part in card, part
    assert json.loads(hub.files("me/tuned")["training_args.json"])["settings"] == {"lr": 0.01}
    assert json.loads(hub.files("me/tuned")["metrics.json"])[0]["name"] == "KD-lsg1"
    assert load("tuned").details["finetuning"] == FACTS
