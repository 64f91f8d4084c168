"""Reconstruction losses by hand."""

import pytest
import torch

from lowshotgan.losses.reconstruction import (
    absolute_difference,
    feature_distance,
    gram_difference,
    layout_difference,
    pooled_feature_difference,
)


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


def test_pooled_features_differ_by_their_means():
    features, target = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 2, 2)
    expected = (features.mean((2, 3)) - target.mean((2, 3))).abs().mean(1)
    torch.testing.assert_close(pooled_feature_difference(features, target), expected)


def test_layout_ignores_the_strength_of_a_channel_and_weights_deep_maps_more():
    maps = [torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)]
    other = [torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)]
    louder = [maps[0] * torch.tensor([0.5, 2.0, 7.0]).view(1, 3, 1, 1), maps[1]]
    torch.testing.assert_close(layout_difference(louder, other), layout_difference(maps, other))
    torch.testing.assert_close(layout_difference(maps, maps), torch.zeros(2))
    shallow = layout_difference([maps[0], other[1]], other)
    deep = layout_difference([other[0], maps[1]], other)
    torch.testing.assert_close(shallow + deep, layout_difference(maps, other))
    one = [torch.tensor([[[[3.0, 4.0]]]])]
    torch.testing.assert_close(layout_difference(one, [torch.tensor([[[[1.0, 0.0]]]])]), torch.tensor([0.6]))


def test_style_ignores_where_things_are():
    maps, order = torch.randn(2, 3, 4, 4), torch.randperm(16)
    moved = maps.flatten(2)[:, :, order].unflatten(2, (4, 4))
    torch.testing.assert_close(gram_difference([moved], [maps]), torch.zeros(2), atol=1e-6, rtol=0)
    a, b = torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    torch.testing.assert_close(
        gram_difference([a], [b]), torch.tensor([0.25])
    )  # 2 of 4 inner products differ by 1 / 2
