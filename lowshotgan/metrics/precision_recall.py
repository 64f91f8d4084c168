"""Precision, recall, density and coverage from k-nearest-neighbour balls.

Precision and recall: Kynkaanniemi et al., NeurIPS 2019. Density and coverage: Naeem et al., ICML 2020.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.kernel import check_embeddings


@dataclass(frozen=True)
class ManifoldScores:
    """How two sets of embeddings overlap.

    Attributes:
        precision: share of fakes inside the ball of at least one real image, in [0, 1].
        recall: share of reals inside the ball of at least one fake image, in [0, 1].
        density: real balls a fake lies in, divided by k; 1 for equal distributions, not bounded above.
        coverage: share of reals whose ball holds at least one fake, in [0, 1].
        k: neighbours that set the radius of a ball.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    k: int


def manifold_scores(real: Tensor, fake: Tensor, *, k: int | None = None) -> ManifoldScores:
    """Precision, recall, density and coverage of ``fake`` against ``real``.

    Args:
        real: ``(N, D)`` embeddings, N >= 2.
        fake: ``(M, D)`` embeddings, M >= 2.
        k: neighbours; default 5, or 3 with fewer than 200 reals, and never more than a set allows.

    Raises:
        ConfigError: if the shapes do not fit, a set has fewer than two images, or k is too large.
    """
    check_embeddings(real, fake, least=2)
    most = min(len(real), len(fake)) - 1
    if k is None:
        k = min(5 if len(real) >= 200 else 3, most)
    if not 1 <= k <= most:
        raise ConfigError(f"k must be from 1 to {most} with {len(real)} and {len(fake)} images, got {k}.")
    real, fake = real.double(), fake.double()
    real_radius, fake_radius = _radii(real, k), _radii(fake, k)
    between = _distances(real, fake)  # (N, M)
    in_real_ball = between <= real_radius[:, None]
    in_fake_ball = between <= fake_radius[None, :]
    return ManifoldScores(
        precision=_share(in_real_ball.any(0)),
        recall=_share(in_fake_ball.any(1)),
        density=float(in_real_ball.sum() / (k * len(fake))),
        coverage=_share(in_real_ball.any(1)),
        k=k,
    )


def _radii(features: Tensor, k: int) -> Tensor:
    """Distance of each row to its k-th nearest other row."""
    distances = _distances(features, features)
    distances.fill_diagonal_(float("inf"))
    return distances.kthvalue(k, dim=1).values


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # The exact form: equal images must be at distance 0, which the matrix product form misses by rounding.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _share(found: Tensor) -> float:
    return float(found.double().mean())
