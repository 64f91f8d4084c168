"""Modalities of one's own: registered by prefix, read from their text again, with views and networks of their own."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lowshotgan
from lowshotgan.api import create_model, load
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError, ImageInputError, LowshotganError
from lowshotgan.systems.syncgan import specs
from lowshotgan.systems.syncgan.config import SyncGANTraining
from lowshotgan.systems.syncgan.modalities import ImageModality, Modality, VectorModality
from lowshotgan.systems.syncgan.specs import parse_modality, register_modality
from lowshotgan.train.source import train_source
from lowshotgan.types import Batch


class Track:
    """A line of so many heights: a shape the library has no networks for."""

    def __init__(self, length):
        self.length = length

    @classmethod
    def parse(cls, text):
        return cls(int(text)) if text.isdigit() else None

    @property
    def shape(self):
        return 1, 1, self.length

    @property
    def spec(self):
        return f"track:{self.length}"

    def read(self, raw, **options):
        return torch.as_tensor(raw, dtype=torch.float32)[:, None, None, :]

    def read_labelled(self, raw, **options):
        return self.read(raw), [None] * len(raw)

    def decode(self, values):
        return values[:, 0, 0]


class Mirrored(Track):
    def augment(self, values, draws):
        return torch.where(draws.uniform(len(values))[:, None, None, None] < 0.5, values, values.flip(3))

    def build(self, role, code):
        size = self.length
        if role == "generator":
            return nn.Sequential(nn.Linear(code, size), nn.Tanh(), nn.Unflatten(1, (1, 1, size)))
        return nn.Sequential(nn.Flatten(), nn.Linear(size, {"discriminator": 1, "branch": 256, "encoder": code}[role]))


@pytest.fixture
def register(monkeypatch):
    monkeypatch.setattr(specs, "_OWN", {})
    return register_modality


def model(track):
    torch.manual_seed(0)
    sizes = {"concept_dim": 4, "private_dim": 2, "encoders": True}
    return create_model("syncgan_32", modalities={"track": track, "numbers": VectorModality(2)}, **sizes)


def data(n=12):
    random = torch.Generator().manual_seed(0)
    points = {"track": torch.rand(n, 6, generator=random), "numbers": torch.rand(n, 2, generator=random)}
    return {**points, "pairs": "aligned"}


def test_a_modality_of_ones_own_is_trained_saved_and_loaded(register, tmp_path):
    register("track", Mirrored.parse)
    assert isinstance(Mirrored(6), Modality)
    system = model(Mirrored(6))
    assert system.config.modalities == ("track=track:6", "numbers=vector:2")
    settings = {"steps": 2, "batch_size": 4, "synchronizer_steps": 2, "encoder_steps": 2}
    run = train_source(system, data(), output_dir=tmp_path / "run", training=settings, device="cpu", progress=False)
    again = load(tmp_path / "run")
    assert (
        isinstance(again.modalities["track"], Mirrored) and again.discriminator.encoders["track"][1].out_features == 6
    )
    made = again.generate(3)
    assert torch.allclose(made.decoded("track"), run.model.generate(3).decoded("track"), atol=1e-6)
    assert made.decoded("track").shape == (3, 6) and made.save(tmp_path / "out") == [] and made.grid().size[0] > 6
    assert again.transfer(made.decoded("track"), to="numbers", steps=2).values["numbers"].shape == (3, 2, 1, 1)


def test_judges_see_what_the_modality_makes_of_items(register):
    register("track", Mirrored.parse)
    system = model(Mirrored(6))
    *_, stage, _ = system.stages(
        system.read_data(data()), SyncGANTraining(steps=1, batch_size=4, synchronizer_steps=1)
    )
    losses = stage.phases[0].terms.__self__
    items = torch.arange(24.0).view(4, 1, 1, 6)
    seen = losses.view(items, "track", Draws(0))
    expected = Mirrored(6).augment(items, Draws(0))
    assert torch.equal(seen, expected) and not torch.equal(seen, items)
    assert torch.equal(losses.view(items, "numbers", Draws(0)), items)
    seen_by = []
    system.discriminator.discriminators["track"].register_forward_pre_hook(lambda net, args: seen_by.append(args[0]))
    images = {"group": torch.arange(4), "any/track": items, "any/numbers": torch.zeros(4, 2, 1, 1)}
    losses.discriminator_terms(Batch(images, Draws(4), 0, 0.0))
    assert all(
        any(torch.equal(row, one) for one in (item, item.flip(2))) for row, item in zip(seen_by[0], items, strict=True)
    )
    assert not torch.equal(seen_by[0], items)


def test_a_shape_without_networks_says_what_to_build(register):
    register("track", Track.parse)
    with pytest.raises(ConfigError, match=r"no generator for 'track:6'.*build\('generator', code\)"):
        model(Track(6))


def test_an_unknown_modality_says_what_to_register(register, tmp_path):
    with pytest.raises(ConfigError, match=r"'track:6'.*register_modality\('track', \.\.\.\)"):
        model(Mirrored(6))
    register("track", Mirrored.parse)
    model(Mirrored(6)).save_pretrained(tmp_path)
    specs._OWN.clear()
    with pytest.raises(LowshotganError, match=r"config.json.*register_modality\('track'"):
        load(tmp_path)
    register("track", Track.parse)  # reads other objects than were saved
    with pytest.raises(ConfigError, match="of a Mirrored, is read as Track"):
        model(Mirrored(6))
    with pytest.raises(ConfigError, match="cannot read the modality 'track:x'"):
        parse_modality("track:x")
    with pytest.raises(ConfigError, match="got a int"):
        create_model("syncgan_32", modalities={"a": 3, "b": VectorModality(2)})


@pytest.mark.parametrize(("prefix", "message"), [("image", "of the library"), ("My track", "a word in lower case")])
def test_prefixes_that_cannot_be_registered(register, prefix, message):
    with pytest.raises(ConfigError, match=message):
        register(prefix, Track.parse)


def test_what_is_no_number_is_no_vector():
    with pytest.raises(ImageInputError, match="must be numbers"):
        VectorModality(2).read("seven.png")
    assert ImageModality.parse("1x32x28") is None


def test_the_example_of_the_page_works(register, tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "syncgan.md").read_text(encoding="utf-8")
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "register_modality" in block]
    names = {"torch": torch, "np": np, "lsg": lowshotgan}
    exec(example, names)
    (tmp_path / "a.txt").write_text(" ".join(["0.25"] * 60))
    assert names["model"].modalities["track"].read([tmp_path / "a.txt"]).shape == (1, 50, 1, 1)
    assert names["model"].generate(2).decoded("track").shape == (2, 50)
