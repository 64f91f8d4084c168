"""The plain implementation computes the same as the library, else comparing their speed would mean nothing."""

import pytest
import torch
from _plain_stylegan2 import PlainDiscriminator, PlainGenerator, PlainTrainer

from lowshotgan.nets.stylegan2 import Discriminator, Generator

SIZE = {"channel_base": 128, "channel_max": 16}
CONFIG = {"resolution": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2, **SIZE}


def moved(module):
    """Every parameter away from its start value, so that none is without effect."""
    for parameter in module.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return module


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_generators_agree():
    ours, plain = moved(Generator(**CONFIG)), PlainGenerator(**CONFIG)
    plain.load_state_dict(ours.state_dict())
    z = torch.randn(4, 8)
    torch.testing.assert_close(plain(z), ours(z), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("batch", [4, 6])
def test_discriminators_agree(batch):
    ours, plain = moved(Discriminator(16, **SIZE)), PlainDiscriminator(16, **SIZE)
    plain.load_state_dict(ours.state_dict())
    images = torch.randn(batch, 3, 16, 16)
    torch.testing.assert_close(plain(images), ours(images), atol=1e-4, rtol=1e-4)


def test_a_step_changes_both_networks_and_the_average():
    trainer = PlainTrainer(CONFIG, lr=1e-2, r1_gamma=1.0, r1_every=2, mixing=1.0, half_life=1.0)
    parts = (trainer.generator, trainer.discriminator, trainer.average)
    before = [torch.cat([p.flatten() for p in part.parameters()]).detach().clone() for part in parts]
    trainer.step(torch.randn(4, 3, 16, 16))
    after = [torch.cat([p.flatten() for p in part.parameters()]) for part in parts]
    assert all(not torch.equal(a, b) and torch.isfinite(a).all() for a, b in zip(after, before, strict=True))
