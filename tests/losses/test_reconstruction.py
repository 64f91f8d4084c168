"""Reconstruction losses by hand."""

import pytest
import torch

from lowshotgan.losses.reconstruction import absolute_difference, feature_distance


def test_absolute_difference_by_hand():
    images, target = torch.tensor([[[[1.0, -1.0]]], [[[0.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]], [[[0.0, 0.5]]]])
    assert absolute_difference(images, target).tolist() == [1.5, 0.25]


def test_feature_distance_by_hand():
    orthogonal = [torch.tensor([[[[2.0]], [[0.0]]]]), torch.tensor([[[[0.0]], [[5.0]]]])]
    opposite = [torch.tensor([[[[1.0]]]]), torch.tensor([[[[-3.0]]]])]
    assert feature_distance(orthogonal[:1], orthogonal[1:]).tolist() == [2.0]
    assert feature_distance(opposite[:1], opposite[1:]).tolist() == [4.0]
    both = feature_distance([orthogonal[0], opposite[0]], [orthogonal[1], opposite[1]])
    assert both.tolist() == [3.0]


def test_feature_distance_ignores_the_scale_of_features_and_is_finite_at_zero():
    maps = [torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0))]
    assert feature_distance(maps, [maps[0] * 7]).abs().max() < 1e-6
    zero = torch.zeros(1, 2, 1, 1, requires_grad=True)
    value = feature_distance([zero], [torch.ones(1, 2, 1, 1)])
    value.sum().backward()
    assert torch.isfinite(zero.grad).all()


def test_different_numbers_of_maps_are_refused():
    with pytest.raises(ValueError):
        feature_distance([torch.ones(1, 1, 1, 1)], [])
