"""Elastic weights by hand."""

import torch

from lowshotgan.losses.knowledge import elastic_weights


def test_elastic_weights_by_hand():
    source = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[0.0]]), "free": torch.tensor([9.0])}
    now = {"a": torch.tensor([1.5, 0.0]), "b": torch.tensor([[3.0]]), "free": torch.tensor([0.0])}
    importance = {"a": torch.tensor([2.0, 0.5]), "b": torch.tensor([[1.0]])}
    loss = elastic_weights(now, source, importance)
    assert loss.shape == ()
    assert loss.item() == 2.0 * 0.25 + 0.5 * 4.0 + 9.0


def test_elastic_weights_are_zero_at_the_source_and_pull_back_by_importance():
    source = {"a": torch.tensor([1.0, 2.0])}
    importance = {"a": torch.tensor([3.0, 0.0])}
    assert elastic_weights(source, source, importance).item() == 0.0
    now = torch.tensor([2.0, 7.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(elastic_weights({"a": now}, source, importance), now)
    assert gradient.tolist() == [6.0, 0.0]
