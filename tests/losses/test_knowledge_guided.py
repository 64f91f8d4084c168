"""Losses of KG-GAN on cases with an answer on paper; those of regions are checked with the claims as well."""

import pytest
import torch

from lowshotgan.errors import ConfigError
from lowshotgan.losses.knowledge_guided import (
    area,
    category_error,
    colour_difference,
    embedding_distance,
    indecision,
    nearest,
    out_of_range,
    region_colour,
    region_variance,
)


def test_embedding_distances():
    found, wanted = torch.tensor([[3.0, 0.0, 1.0]]), torch.tensor([[0.0, 4.0, 1.0]])
    assert embedding_distance(found, wanted).item() == 25
    assert embedding_distance(found, wanted, kind="l1").item() == 7
    cosine = embedding_distance(found, wanted, kind="cosine").item()
    assert cosine == pytest.approx(1 - 1 / (10**0.5 * 17**0.5))
    assert embedding_distance(found, wanted, mask=torch.tensor([[1.0, 0, 1]])).item() == 9
    assert embedding_distance(wanted, wanted).item() == 0
    with pytest.raises(ConfigError, match="distance"):
        embedding_distance(found, wanted, kind="l3")


def test_regions():
    region = torch.tensor([[[[1.0, 0.5], [0.0, 0.5]]]])
    assert area(region).item() == 0.5 and indecision(region).item() == 0.125
    image = torch.tensor([[[[1.0, 0.0], [9.0, 0.0]]]]).expand(1, 3, 2, 2)
    torch.testing.assert_close(region_colour(image, region, eps=0.0), torch.full((1, 3), 0.5))
    assert colour_difference(torch.tensor([[0.0, 1, 2]]), torch.tensor([[1.0, 1, 0]])).item() == 3
    assert out_of_range(torch.tensor([[[[1.5, -3.0], [0.0, 1.0]]]])).item() == 0.625


def test_categories():
    logits = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    torch.testing.assert_close(category_error(logits, torch.tensor([1, 0])), torch.tensor([2.0, 1.0]).log())
    table = torch.tensor([[0.0, 0], [1, 1]])
    assert nearest(torch.tensor([[0.9, 0.7], [0.2, -1]]), table).tolist() == [1, 0]


def test_variance_of_a_region_counts_only_its_pixels():
    image = torch.zeros(1, 3, 4, 4)
    image[..., :2] = 1.0
    left = torch.zeros(1, 1, 4, 4)
    left[..., :2] = 1.0
    even = region_variance(image, left, eps=0.0)
    torch.testing.assert_close(even, torch.zeros(1))
    torch.testing.assert_close(region_variance(image, torch.ones(1, 1, 4, 4), eps=0.0), torch.full((1,), 0.25))
    region = left.clone().requires_grad_(True)
    region_variance(image, region + 0.1).sum().backward()
    assert region.grad[..., :2].max() < 0 < region.grad[..., 2:].min()  # it draws back from the other colour
