"""Fine-tuned StyleGAN2 models on disk: chains of them, moved bases, blends."""

import copy
import logging

import pytest
import torch

from lowshotgan.api import create_model, load
from lowshotgan.cli import run
from lowshotgan.errors import DeltaError
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.finetune.recipe import parse_trainables
from lowshotgan.systems.stylegan2.system import StyleGAN2

TINY = {"channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}


@pytest.fixture(autouse=True)
def in_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def base():
    """A random model, saved as ``base`` and loaded from there."""
    torch.manual_seed(0)
    create_model("stylegan2_32", **TINY).save_pretrained("base")
    return load("base")


def adapt(model, seed, *, trainable="affine"):
    """``model`` with random changes, as a fine-tuning makes them."""
    adapted = AdaptedGenerator(copy.deepcopy(model.generator), parse_trainables(trainable))
    random = torch.Generator().manual_seed(seed)
    changes = {
        name: value + 0.3 * torch.randn(value.shape, generator=random) for name, value in adapted.delta().items()
    }
    adapted.load_delta(changes)
    return StyleGAN2.from_adapted(adapted, like=model, base_name=model.source_name)


def same(one, other):
    return torch.equal(one.generate(2).tensor, other.generate(2).tensor)


def test_a_model_adapted_from_an_adapted_model_loads_and_knows_its_base(base):
    first = adapt(base, 1)
    first.save_pretrained("first")
    second = adapt(load("first"), 2)
    second.save_pretrained("second")
    again = load("second")
    assert (again.source_name, again.base_name) == ("second", "first")
    assert same(again, second)
    assert same(again.blend(0.0), first) and same(load("first").blend(0.0), base)
    assert run(["generate", "second", "--grid", "grid.png"]) == 0


@pytest.mark.parametrize("place", ["small", "small.safetensors"])
def test_a_delta_of_a_delta_loads(base, place):
    adapt(base, 1).save_delta("1" + place)
    second = adapt(load("1" + place), 2)
    second.save_delta("2" + place)
    again = load("2" + place)
    assert again.base_name == "1" + place
    assert same(again, second)


def test_a_base_that_was_never_saved_leaves_a_whole_model(base):
    second = adapt(adapt(base, 1), 2)
    assert second.base_name is None
    second.save_pretrained("second")
    assert same(load("second"), second)
    with pytest.raises(DeltaError, match="base at hand"):
        load("second").blend(0.5)


def test_a_base_that_changed_or_went_does_not_touch_the_model(base, caplog):
    adapted = adapt(base, 1)
    adapted.save_pretrained("adapted")
    create_model("stylegan2_32", **TINY).save_pretrained("base")
    with caplog.at_level(logging.WARNING, "lowshotgan"):
        again = load("adapted")
    assert same(again, adapted) and again.adapted is None
    assert "without its base" in caplog.text and "base weights" in caplog.text
    adapted.save_delta("delta")
    with pytest.raises(DeltaError, match="base weights"):
        load("delta")


def test_a_model_saved_over_its_base_still_loads(base):
    adapted = adapt(base, 1)
    adapted.save_pretrained("base")
    assert same(load("base"), adapted)
    adapted.base_name = "delta"
    adapted.save_delta("delta")
    with pytest.raises(DeltaError, match="names itself"):
        load("delta")


def test_a_blend_is_saved_as_what_it_draws(base):
    half = adapt(base, 1).blend(0.5)
    half.save_pretrained("half")
    assert same(load("half"), half)
    assert half.source_name is None and half.adapted is None


@pytest.mark.parametrize("place", [{"device": "meta"}, {"dtype": torch.float64}])
def test_a_blend_is_where_the_model_is(base, place):
    blended = adapt(base, 1).to(**place).blend(0.5)
    for parameter in blended.generator.parameters():
        assert all(getattr(parameter, key) == torch.device(value) if key == "device" else parameter.dtype == value
                   for key, value in place.items())  # fmt: skip
