"""Diversity around the training images: intra-cluster perceptual distance (Ojha et al., CVPR 2021).

Every fake is assigned to its nearest training image; within each cluster the mean distance between pairs is
taken, then averaged over clusters. A model that only copies scores 0. Noise scores high, so it is reported
beside fidelity.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.perceptual import pairwise_perceptual


@dataclass(frozen=True)
class IntraCluster:
    """Diversity within clusters.

    Attributes:
        value: mean over clusters of the mean pairwise distance; NaN if no cluster has two members.
        coverage: share of training images that are nearest to at least one fake, in [0, 1].
        sizes: fakes in each cluster, one entry per training image.
    """

    value: float
    coverage: float
    sizes: tuple[int, ...]


def intra_cluster_distance(fake: Tensor, train: Tensor, *, members: int = 50, seed: int = 0) -> IntraCluster:
    """Mean pairwise perceptual distance among fakes that share their nearest training image.

    Args:
        fake: ``(N, V)`` perceptual vectors of the fakes.
        train: ``(K, V)`` perceptual vectors of the training images, K >= 1.
        members: at most this many fakes per cluster, drawn at random.
        seed: of that draw.

    Raises:
        ConfigError: if a set is empty.
    """
    if not len(fake) or not len(train):
        raise ConfigError(f"intra-cluster distance needs fakes and training images, got {len(fake)} and {len(train)}.")
    nearest = pairwise_perceptual(fake, train).argmin(1)
    generator = torch.Generator().manual_seed(seed)
    sizes, means = [], []
    for index in range(len(train)):
        rows = (nearest == index).nonzero()[:, 0]
        sizes.append(len(rows))
        chosen = rows[torch.randperm(len(rows), generator=generator)[:members]]
        if len(chosen) > 1:
            means.append(mean_pairwise(fake[chosen]))
    value = sum(means) / len(means) if means else float("nan")
    return IntraCluster(value, sum(size > 0 for size in sizes) / len(sizes), tuple(sizes))


def mean_pairwise(vectors: Tensor) -> float:
    """Mean perceptual distance over all pairs of different rows of ``(N, V)`` perceptual vectors, N >= 2."""
    n = len(vectors)
    distances = pairwise_perceptual(vectors, vectors)
    return float((distances.sum() - distances.trace()) / (n * (n - 1)))
