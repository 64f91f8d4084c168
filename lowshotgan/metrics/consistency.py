"""What an adapted generator kept of its source, from images of the same latents.

Edges: do both images of a latent have their outlines in the same places (Xiao et al., CVPR 2022, use a
learned edge detector; here it is Sobel). Relations: do latents that looked alike before still look alike.
"""

import torch
from torch import Tensor

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.perceptual import pairwise_perceptual
from lowshotgan.metrics.similarity import edges


def edge_agreement(source: Tensor, adapted: Tensor) -> Tensor:
    """Dice overlap ``2 sum(ab) / sum(a^2 + b^2)`` of the edges of each pair.

    Args:
        source: ``(N, 3, H, W)`` uint8 images of the source generator.
        adapted: ``(N, 3, H, W)`` uint8 images of the adapted generator, same latents in the same order.

    Returns:
        ``(N,)`` in [0, 1]; 1 for equal edges, also when neither image has any.

    Raises:
        ConfigError: if the shapes differ.
    """
    if source.shape != adapted.shape:
        raise ConfigError(
            f"source and adapted images must pair up, got {tuple(source.shape)} and {tuple(adapted.shape)}; "
            "generate both from the same seeds."
        )
    a, b = edges(source).flatten(1), edges(adapted).flatten(1)
    total = (a.square() + b.square()).sum(1)
    return torch.where(total > 0, 2 * (a * b).sum(1) / total.clamp(min=1e-12), torch.ones_like(total))


def relation_agreement(source: Tensor, adapted: Tensor) -> float:
    """Spearman rank correlation between the pairwise perceptual distances of both sets, in [-1, 1].

    Args:
        source: ``(N, V)`` perceptual vectors of the source images, N >= 3.
        adapted: ``(N, V)`` perceptual vectors of the adapted images, same latents in the same order.

    Returns:
        The correlation; NaN if all distances of one set are equal.

    Raises:
        ConfigError: if the counts differ or are below 3.
    """
    if len(source) != len(adapted) or len(source) < 3:
        raise ConfigError(
            f"relation agreement needs at least three pairs of images, got {len(source)} and {len(adapted)}; "
            "generate both from the same seeds."
        )
    rows, columns = torch.triu_indices(len(source), len(source), offset=1)
    return rank_correlation(*(pairwise_perceptual(v, v)[rows, columns] for v in (source, adapted)))


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman correlation of two ``(N,)`` tensors; equal values share their mean rank."""
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    scale = (x.square().sum() * y.square().sum()).sqrt()
    return float((x * y).sum() / scale) if scale > 0 else float("nan")


def _ranks(values: Tensor) -> Tensor:
    _, inverse, counts = torch.unique(values, sorted=True, return_inverse=True, return_counts=True)
    ranks: Tensor = (counts.cumsum(0).double() - (counts - 1) / 2)[inverse]
    return ranks
