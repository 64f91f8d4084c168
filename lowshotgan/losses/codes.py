"""Losses on the codes of encoders; every function returns one value per sample, ``(B,)``."""

import torch
from torch import Tensor


def divergence_from_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of independent codes, summed over their length (Kingma and Welling 2014).

    Args:
        mean: ``(B, D)``.
        log_variance: same shape.

    Returns:
        ``(B,)`` divergences in nats, 0 for mean 0 and log variance 0.
    """
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1)


def pair_gap(source: Tensor, target: Tensor, *, normalize: bool = False) -> Tensor:
    """Mean absolute difference between the content codes of two partners (Kao et al., ICPR 2020).

    Args:
        source: ``(B, D)`` codes of the images.
        target: ``(B, D)`` codes of their partners.
        normalize: divide by the spread of the codes over both batches, which receives no gradient, so that the gap
            cannot be closed by making all codes smaller.
    """
    gap = (source.float() - target.float()).abs().flatten(1).mean(dim=1)
    if not normalize:
        return gap
    spread = torch.cat([source, target]).detach().float().std(dim=0, unbiased=False).mean()
    return gap / spread.clamp(min=1e-6)
