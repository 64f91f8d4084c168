"""The conditional SyncGAN: released sizes, terms and what they reach, use, and that it learns what matches."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F

from lowshotgan.api import create_model, load
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.systems.syncgan.conditional import CondSyncGANTraining
from lowshotgan.systems.syncgan.conditional_networks import (
    ConditionalGenerator,
    CondSyncGANConfig,
    Early,
    conditional_discriminator,
)
from lowshotgan.systems.syncgan.data import SyncData
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.types import Batch

LINES = ("given=image:1x16x16", "drawn=image:1x16x16")


def tiny(**options):
    torch.manual_seed(0)
    return create_model("cond_syncgan_28", **{"resolution": 16, "modalities": LINES, **options})


def bars(n=64):
    """A bar on the left or on top; the partner is bright or dark."""
    labels = torch.arange(n) % 2
    given, drawn = -torch.ones(n, 1, 16, 16), torch.empty(n, 1, 16, 16)
    given[labels == 0, :, :, :4] = 1.0
    given[labels == 1, :, :4, :] = 1.0
    drawn[labels == 0], drawn[labels == 1] = 0.7, -0.7
    noise = 0.05 * torch.randn(2, n, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    values = {"given": (given + noise[0]).clamp(-1, 1), "drawn": drawn + noise[1]}
    return SyncData(values, {"given": labels, "drawn": labels}, by_label=True)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_networks_have_the_released_sizes():
    generator = ConditionalGenerator((1, 28, 28), (1, 28, 28))
    down = (25 * 32 + 32) + 64 + (32 * 64 * 25 + 64) + 2 * 3136
    up = 3137 * 3136 + 128 + (64 * 32 * 25 + 32) + 64 + (32 * 25 + 1)
    assert count(generator) == down + up
    judge = conditional_discriminator((1, 28, 28))
    assert count(judge) == (25 * 16 + 16) + 32 + (16 * 32 * 9 + 32) + (1568 * 256 + 256) + 257
    large = ConditionalGenerator((1, 64, 64), (3, 64, 64))
    widths = [64, 128, 256, 512, 1024]
    sides = sum(2 * a * b * 25 + a + b for a, b in itertools.pairwise(widths))  # one convolution down, one up
    norms = 2 * sum(widths[:-1]) + 2 * sum(widths)
    assert count(large) == (9 * 64 + 64) + sides + norms + (64 * 3 * 9 + 3)
    early = [4, 64, 128, 256, 512]
    expected = sum(a * b * 25 + b for a, b in itertools.pairwise(early)) + 2 * (64 + 128 + 256) + 513
    assert count(Early({"a": (1, 64, 64), "b": (3, 64, 64)}, 16)) == expected


@pytest.mark.parametrize(("first", "second"), [((1, 28, 28), (1, 32, 32)), ((1, 64, 64), (3, 64, 64))])
def test_any_two_sizes_fit_together(first, second):
    generator = ConditionalGenerator(first, second, noise_dim=3).eval()
    with torch.no_grad():
        drawn = generator(torch.zeros(2, *first), torch.randn(2, 3, generator=torch.Generator().manual_seed(0)))
        assert drawn.shape == (2, *second) and drawn.abs().max() <= 1 and not torch.equal(drawn[0], drawn[1])
        assert conditional_discriminator(second)(drawn).shape == (2, 1)


def test_the_synchronizer_calls_drawn_pairs_wrong_and_the_generator_denies_it():
    model = tiny()
    *_, stage = model.stages(bars(), CondSyncGANTraining(steps=1, batch_size=6))
    losses, images = stage.phases[0].terms.__self__, next(stage.batches)
    batch = Batch(images, Draws(0), 0, 0.0)
    generator, judge = losses.generator, losses.judges.synchronizer
    found = losses.synchronizer_terms(batch)
    a, b, names = images["pair/given"], images["pair/drawn"], ("given", "drawn")
    torch.testing.assert_close(found["generated"], F.softplus(judge(a, generator(a), names)))
    other = (images["group"] != images["group"].roll(1)).float()
    expected = (F.softplus(-judge(a, b, names)) + other * F.softplus(judge(a, b.roll(1, 0), names))) / 2
    torch.testing.assert_close(found["synchrony"], expected)
    found = losses.synchrony_terms(batch)["synchrony"]
    assert not judge.training
    x = images["any/given"]
    torch.testing.assert_close(found, F.softplus(-judge(x, generator(x), names)))
    found = losses.generator_terms(batch)["adversarial"]
    torch.testing.assert_close(found, F.softplus(-losses.judges.discriminator(generator(x)))[:, 0])


@pytest.mark.parametrize("phase", ["discriminator", "synchronizer", "generator", "in-step"])
def test_a_phase_changes_its_own_network(tmp_path, phase):
    model = tiny()
    *_, stage = model.stages(bars(), CondSyncGANTraining(steps=1, batch_size=6))
    assert [each.name for each in stage.phases] == ["discriminator", "synchronizer", "generator", "in-step"]
    stage.phases = [each for each in stage.phases if each.name == phase]
    judges = model.discriminator
    parts = {"discriminator": judges.discriminator, "synchronizer": judges.synchronizer, "generator": model.generator}
    before = {name: copy.deepcopy(part) for name, part in parts.items()}
    fit([stage], output_dir=tmp_path, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))
    changed = "generator" if phase == "in-step" else phase
    for name, part in parts.items():
        pairs = zip(before[name].parameters(), part.parameters(), strict=True)
        assert any(not torch.equal(x, y) for x, y in pairs) == (name == changed)


def test_training_draws_what_matches(tmp_path):
    model = tiny(synchronizer="two_tower")
    data = bars()
    training = CondSyncGANTraining(steps=60, batch_size=16, synchronizer_lr=1e-3)
    fit(
        model.stages(data, training),
        output_dir=tmp_path,
        machine=Machine("cpu"),
        settings=LoopSettings(precision="fp32"),
    )
    model.save_pretrained(tmp_path / "model")
    with torch.no_grad():
        drawn = load(tmp_path / "model").generator(data.values["given"]).mean(dim=(1, 2, 3))
    assert float(drawn[0::2].mean()) > float(drawn[1::2].mean()) + 0.5


def test_one_direction_and_its_inverse():
    image = (127.5 * (bars(2).values["given"] + 1)).byte().expand(-1, 3, -1, -1)
    model = tiny(noise_dim=4)
    made = model.transfer(image, to="drawn", n=3)
    assert set(made.values) == {"drawn"} and len(made) == 6
    assert torch.equal(made.values["drawn"], model.generate(3, content=image).values["drawn"])
    assert not torch.equal(made.values["drawn"][0], made.values["drawn"][1])
    assert tiny(inverse=True).transfer(image, to="given").values["given"].shape == (2, 1, 16, 16)
    with pytest.raises(ConfigError, match="inverse=True"):
        model.transfer(image, to="given")
    with pytest.raises(ConfigError, match="no noise"):
        tiny().generate(2, content=image)
    with pytest.raises(ConfigError, match="content="):
        model.generate(2)


@pytest.mark.parametrize(
    "options",
    [{"modalities": ("a=image:1x16x16", "b=vector:2")}, {"modalities": ("a=image:1x16x16",)}, {"noise_dim": -1},
     {"synchronizer": "early", "modalities": ("a=image:1x28x28", "b=image:1x32x32")}, {"synchronizer": "late"}],
)  # fmt: skip
def test_unusable_configurations_are_refused(options):
    with pytest.raises(ConfigError):
        CondSyncGANConfig(**options)
