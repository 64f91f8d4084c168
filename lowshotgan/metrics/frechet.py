"""Frechet distance between two Gaussians fitted to embeddings (Heusel et al., NeurIPS 2017), without SciPy.

|mu1 - mu2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)); the last trace is the sum of the roots of the
eigenvalues of the symmetric matrix S1^(1/2) S2 S1^(1/2). All in float64.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lowshotgan.metrics.kernel import check_embeddings


@dataclass(frozen=True)
class FrechetDistance:
    """A Frechet distance; ``reliable`` is false when a set has fewer than twice as many images as dimensions.

    Two samples of the *same* distribution are far from 0 then: the estimate is biased upwards, the more the
    fewer images there are.
    """

    value: float
    reliable: bool


def frechet_distance(real: Tensor, fake: Tensor) -> FrechetDistance:
    """Frechet distance between two sets of embeddings.

    Args:
        real: ``(N, D)`` embeddings, N >= 2.
        fake: ``(M, D)`` embeddings, M >= 2.

    Raises:
        ConfigError: if the shapes do not fit or a set has fewer than two images.
    """
    check_embeddings(real, fake, least=2)
    value = frechet_from_moments(*_moments(real), *_moments(fake))
    return FrechetDistance(value, reliable=min(len(real), len(fake)) >= 2 * real.shape[1])


def frechet_from_moments(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Squared 2-Wasserstein distance of two Gaussians with means ``(D,)`` and covariances ``(D, D)``."""
    mean1, cov1, mean2, cov2 = (part.double() for part in (mean1, cov1, mean2, cov2))
    values, vectors = torch.linalg.eigh(cov1)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ cov2 @ root).clamp(min=0).sqrt().sum()
    distance = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * shared
    return max(float(distance), 0.0)


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    features = features.double()
    return features.mean(0), features.T.cov()
