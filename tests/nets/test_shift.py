"""Random shifts against a slow reference."""

import torch
import torch.nn.functional as F

from lowshotgan.draws import Draws
from lowshotgan.nets.shift import random_shift, shift


def test_windows_are_cut_where_they_should_be():
    images = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    offsets = torch.tensor([[0, 4], [2, 2], [3, 1]])
    padded = F.pad(images, (2, 2, 2, 2), mode="replicate")
    expected = [one[:, i : i + 5, j : j + 5] for one, (i, j) in zip(padded, offsets.tolist(), strict=True)]
    found = shift(images, offsets, pixels=2)
    assert torch.equal(found, torch.stack(expected))
    assert torch.equal(found[1], images[1])


def test_no_shift_changes_nothing_and_draws_nothing():
    images, draws = torch.randn(2, 3, 4, 4), Draws(0)
    assert random_shift(images, draws, pixels=0) is images
    assert torch.equal(draws.uniform(1), Draws(0).uniform(1))
    moved = random_shift(images.requires_grad_(True), draws, pixels=1)
    moved.sum().backward()
    assert images.grad is not None
