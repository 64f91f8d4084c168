"""Tiny paired domains for the systems that learn from pairs."""

import pytest
import torch

from lowshotgan.data.images import to_pil
from lowshotgan.data.synthetic import faces


@pytest.fixture(scope="session")
def pairs():
    """Ten faces, flat and as lines: ``(source, target)`` as lists of PIL images of 16 pixels."""
    return tuple(to_pil(faces(10, resolution=16, style=style, seed=4)) for style in ("flat", "line"))


@pytest.fixture(scope="session")
def sources():
    """Forty further flat faces of 16 pixels."""
    return to_pil(faces(40, resolution=16, style="flat", seed=9))


def snapshot(module):
    """Every parameter and buffer of a network as it now is."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def unchanged(module, before):
    """Whether a network is bit for bit what it was."""
    now = module.state_dict()
    return set(now) == set(before) and all(torch.equal(now[name], value) for name, value in before.items())
