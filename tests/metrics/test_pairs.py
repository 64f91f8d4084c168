"""Measures of twins and pairs on cases whose answer is known."""

import pytest
import torch

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.pairs import consistency_ratio, copying_ratio, edge_consistency_ratio, pair_gap_ratio


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_perfect_twins_and_strangers():
    images = draw(200, 3, 4, 4)
    assert consistency_ratio(images, images) == 0
    assert abs(consistency_ratio(images, draw(200, 3, 4, 4, seed=1)) - 1) < 0.02


def test_consistency_by_hand():
    expected, found = torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [3.0]])
    assert consistency_ratio(expected, found) == pytest.approx(1 / 3)  # twins 1 and 1; others 3 and 3


def test_pair_gap_by_hand():
    source, target = torch.tensor([[0.0, 0.0], [6.0, 8.0]]), torch.tensor([[3.0, 4.0], [6.0, 8.0]])
    assert pair_gap_ratio(source, target) == pytest.approx(2.5 / 10)


def test_copies_and_real_images():
    shots, held_out = draw(10, 8), draw(300, 8, seed=1)
    copies = shots.repeat(30, 1) + 0.01 * draw(300, 8, seed=2)
    assert copying_ratio(copies, held_out, shots) < 0.05
    assert abs(copying_ratio(draw(300, 8, seed=3), held_out, shots) - 1) < 0.1


def test_sets_that_cannot_be_compared_are_refused():
    with pytest.raises(ConfigError, match="one shape"):
        consistency_ratio(draw(3, 2), draw(4, 2))
    with pytest.raises(ConfigError, match="two rows"):
        pair_gap_ratio(draw(1, 2), draw(1, 2))


def test_consistency_by_edges_sees_shapes_and_not_colours():
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert edge_consistency_ratio(images, -0.5 * images) == pytest.approx(0, abs=1e-5)
    assert edge_consistency_ratio(images, images.roll(1, 0)) > 1
    with pytest.raises(ConfigError, match="two rows"):
        edge_consistency_ratio(images[:1], images[:1])
