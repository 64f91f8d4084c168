"""Batch-norm statistics are found again after the weights moved, and only then."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lowshotgan.systems.settling import Settling


class Toy(Settling):
    system = "toy"
    statistics_samples = 100

    def __init__(self):
        super().__init__(SimpleNamespace(z_dim=2), arch="toy")
        torch.manual_seed(0)
        self.generator = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    @property
    def mean(self):
        return self.generator[1].running_mean.clone()


def test_statistics_follow_the_weights_once():
    toy = Toy()
    toy.settle()
    assert torch.equal(toy.mean, torch.zeros(3))  # nothing was trained
    toy.moved(0, {})
    toy.settle()
    found = toy.mean
    assert (found - toy.generator[0].bias).abs().max() < 0.3  # the mean over standard normal latents
    with torch.no_grad():
        toy.generator[0].bias += 1
    toy.settle()
    assert torch.equal(toy.mean, found)
    toy.moved(1, {})
    toy.settle()
    torch.testing.assert_close(toy.mean, found + 1)


def test_previews_leave_the_statistics_for_later():
    toy = Toy()
    toy.moved(0, {})

    def fail():
        with toy.unsettled():
            toy.settle()
            assert torch.equal(toy.mean, torch.zeros(3))
            raise RuntimeError("drawing failed")

    with pytest.raises(RuntimeError, match="drawing"):
        fail()
    toy.settle()
    assert not torch.equal(toy.mean, torch.zeros(3))
