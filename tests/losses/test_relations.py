"""Relation and contrast losses against slow loops."""

import math

import pytest
import torch

from lowshotgan.errors import ConfigError
from lowshotgan.losses.relations import contrast, relation_consistency


def features(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a.flatten().double(), b.flatten().double()
    return float(a @ b / (a.norm() * b.norm()))


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def slow_relation(source: torch.Tensor, target: torch.Tensor) -> list[float]:
    losses = []
    for i in range(len(source)):
        others = [j for j in range(len(source)) if j != i]
        p = softmax([cosine(source[i], source[j]) for j in others])
        q = softmax([cosine(target[i], target[j]) for j in others])
        losses.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return losses


def slow_contrast(target: torch.Tensor, source: torch.Tensor, temperature: float) -> list[float]:
    losses = []
    for i in range(len(target)):
        scores = [cosine(target[i], source[j]) / temperature for j in range(len(source))]
        losses.append(-math.log(softmax(scores)[i]))
    return losses


@pytest.mark.parametrize("batch", [3, 4, 7])
def test_relation_equals_the_slow_loop(batch):
    source, target = features(0, batch, 5, 4, 4), features(1, batch, 5, 4, 4)
    assert relation_consistency(source, target).tolist() == pytest.approx(slow_relation(source, target), abs=1e-6)


def test_relation_is_zero_for_equal_batches_and_for_rotated_or_scaled_ones():
    source = features(0, 4, 6)
    rotation = torch.linalg.qr(features(1, 6, 6))[0]
    for target in (source, source @ rotation, source * 3.0):
        assert relation_consistency(source, target).abs().max() < 1e-6


def test_relation_of_two_samples_would_always_be_zero_and_is_refused():
    with pytest.raises(ConfigError, match="batch size of 3"):
        relation_consistency(features(0, 2, 3), features(1, 2, 3))


def test_relation_never_goes_below_zero_and_its_gradient_vanishes_at_the_source():
    source = features(0, 5, 8)
    for seed in range(5):
        assert relation_consistency(source, features(seed + 1, 5, 8)).min() > -1e-6
    target = source.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(relation_consistency(source, target).sum(), target)
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("loss", [relation_consistency, contrast])
def test_autocast_takes_no_digits_from_relations(loss):
    source = features(0, 4, 64) + 2 * features(1, 1, 64)
    target = source + 0.15 * features(2, 4, 64)
    exact = loss(source, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss(source, target), exact)


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("batch", [2, 5])
def test_contrast_equals_the_slow_loop(batch, temperature):
    target, source = features(0, batch, 3, 2, 2), features(1, batch, 3, 2, 2)
    ours = contrast(target, source, temperature=temperature).tolist()
    assert ours == pytest.approx(slow_contrast(target, source, temperature), rel=1e-4, abs=1e-5)


def test_contrast_with_orthogonal_negatives_by_hand():
    expected = math.log(1 + 2 * math.exp(-1 / 0.5))
    loss = contrast(torch.eye(3) * 4, torch.eye(3), temperature=0.5)
    assert loss.tolist() == pytest.approx([expected] * 3)


def test_contrast_of_collapsed_features_is_the_log_of_the_batch():
    same = torch.ones(4, 5)
    assert contrast(same, same).tolist() == pytest.approx([math.log(4)] * 4)


@pytest.mark.parametrize("loss", [relation_consistency, contrast])
@pytest.mark.parametrize("shapes", [((1, 3), (1, 3)), ((2, 3), (3, 3)), ((2, 3), (2, 4))])
def test_unusable_batches_are_refused(loss, shapes):
    with pytest.raises(ConfigError, match="batch size of [23]"):
        loss(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
