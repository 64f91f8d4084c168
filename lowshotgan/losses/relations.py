"""Losses that hold an adapted generator near its source by comparing whole batches; ``(B,)`` each."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.errors import ConfigError


def relation_consistency(source: Tensor, target: Tensor) -> Tensor:
    """KL(source || target) between "who resembles whom" in one batch (cross-domain correspondence, Ojha et al. 2021).

    Args:
        source: ``(B, ...)`` features of the frozen generator, B >= 3: with one other sample there is nothing to compare.
        target: ``(B, ...)`` features of the adapted generator for the same latents.

    Returns:
        ``(B,)`` divergences in nats; zero when both batches have the same relations.

    Raises:
        ConfigError: if the shapes differ or the batch has fewer than three samples.
    """
    _check_pair(source, target, at_least=3)
    return F.kl_div(_relations(target), _relations(source), reduction="none", log_target=True).sum(dim=1)


def contrast(target: Tensor, source: Tensor, *, temperature: float = 0.07) -> Tensor:
    """InfoNCE between adapted and source features of the same latents (dual contrastive learning, Zhao et al. 2022).

    Args:
        target: ``(B, ...)`` features of the adapted generator (the anchors), B >= 2.
        source: ``(B, ...)`` features of the frozen generator: sample i is the positive, the others are negatives.
        temperature: divides the cosine similarities.

    Returns:
        ``(B,)`` cross entropies in nats.

    Raises:
        ConfigError: if the shapes differ or the batch has one sample only.
    """
    _check_pair(source, target, at_least=2)
    similarity = _cosines(target, source) / temperature  # (B, B)
    return F.cross_entropy(similarity, torch.arange(len(source), device=source.device), reduction="none")


def _relations(features: Tensor) -> Tensor:
    others = ~torch.eye(len(features), dtype=torch.bool, device=features.device)
    return _cosines(features, features)[others].view(len(features), -1).log_softmax(dim=1)  # (B, B - 1)


def _cosines(these: Tensor, those: Tensor) -> Tensor:
    """``(B, B)`` cosines in float32 under autocast too: the losses are about differences that bfloat16 has no digits for."""
    with torch.autocast(these.device.type, enabled=False):
        return _unit(these) @ _unit(those).T


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features.float().flatten(1), dim=1)


def _check_pair(source: Tensor, target: Tensor, *, at_least: int) -> None:
    if source.shape != target.shape or len(source) < at_least:
        raise ConfigError(
            f"relations need two feature batches of one shape and at least {at_least} samples, got "
            f"{tuple(source.shape)} and {tuple(target.shape)}; use a batch size of {at_least} or more."
        )
