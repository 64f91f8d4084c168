"""Losses of synchrony against slow references."""

import math

import pytest
import torch

from lowshotgan.losses.synchrony import all_pairs_synchrony, auc, synchrony


def test_synchrony_is_binary_cross_entropy():
    logits = torch.tensor([0.0, 2.0])
    torch.testing.assert_close(synchrony(logits, 1.0), torch.log1p(torch.exp(-logits)))
    torch.testing.assert_close(synchrony(logits, 0.0), torch.log1p(torch.exp(logits)))
    torch.testing.assert_close(synchrony(logits, torch.tensor([1.0, 0.0]))[1], torch.log1p(torch.exp(logits[1])))


def test_all_pairs_are_labelled_by_group():
    logits, groups = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0])
    found = all_pairs_synchrony(logits, groups)
    for i in range(3):
        terms = [math.log1p(math.exp(-z if groups[i] == groups[j] else z)) for j, z in enumerate(logits[i].tolist())]
        assert float(found[i]) == pytest.approx(sum(terms), rel=1e-5)


def test_area_under_the_curve():
    logits = torch.tensor([3.0, 1.0, 2.0, 1.0])
    together = torch.tensor([True, True, False, False])
    assert auc(logits, together) == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert math.isnan(auc(logits, torch.ones(4, dtype=torch.bool)))


def test_area_under_the_curve_of_many_pairs_is_that_of_the_definition():
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(300, generator=draws).round(decimals=1)  # with ties
    together = torch.rand(300, generator=draws) < 0.3
    right, wrong = logits[together][:, None], logits[~together][None]
    assert auc(logits, together) == pytest.approx(float(((right > wrong) + 0.5 * (right == wrong)).mean()))
    many = torch.arange(400_000.0)  # their 4e10 comparisons would not fit into memory
    assert auc(many, many >= 200_000) == 1.0
