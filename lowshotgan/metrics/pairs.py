"""Measures for generators of two domains that share their content: they need twins of one latent, or pairs.

All take plain tensors and return one number; 1 always means "no better than chance" or "as real images do".
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.data.pairs import edge_map
from lowshotgan.errors import ConfigError


def consistency_ratio(expected: Tensor, found: Tensor) -> float:
    """How much nearer target images are to what their own source twin should become than to what others should.

    Args:
        expected: ``(N, ...)``, what the source twins should look like in the target domain: for a known appearance map
            the mapped images, otherwise features that the domains share. N >= 2.
        found: ``(N, ...)``, the target images (or their features) of the same latents.

    Returns:
        Mean absolute difference of twins over that of all others; 0 for perfect twins, 1 for unrelated ones.

    Raises:
        ConfigError: if the shapes differ or there are fewer than two.
    """
    distances = _distances(expected, found, power=1.0)
    return float(distances.diagonal().mean() / _others(distances).mean())


def edge_consistency_ratio(source: Tensor, target: Tensor) -> float:
    """The same where no map between the domains is known: by the edges of the twins, 1 - cosine.

    Args:
        source: ``(N, C, H, W)`` source images in [-1, 1], N >= 2.
        target: ``(N, C, H, W)`` target images of the same latents.

    Returns:
        Mean distance of twins over that of all others; 0 for equal edges, 1 for unrelated ones.

    Raises:
        ConfigError: if the shapes differ or there are fewer than two.
    """
    _check_sets(source, target)
    ours, theirs = (F.normalize(edge_map(one).flatten(1), dim=1) for one in (source, target))
    distances = 1 - ours @ theirs.T
    return float(distances.diagonal().mean() / _others(distances).mean())


def pair_gap_ratio(source: Tensor, target: Tensor) -> float:
    """How far the content codes of partners are apart, relative to those of different source images.

    Args:
        source: ``(N, ...)`` codes of source images, N >= 2.
        target: ``(N, ...)`` codes of their partners.

    Returns:
        Mean Euclidean distance of partners over that of different sources; 0 for a perfect encoder, 1 and more for one
        to which partners look like strangers.

    Raises:
        ConfigError: if the shapes differ or there are fewer than two.
    """
    partners = _distances(source, target, power=2.0).diagonal().mean()
    return float(partners / _others(_distances(source, source, power=2.0)).mean())


def copying_ratio(generated: Tensor, held_out: Tensor, shots: Tensor) -> float:
    """How near generated images come to their nearest shot, relative to real images that were not learnt from.

    Args:
        generated: ``(N, D)`` features.
        held_out: ``(M, D)`` features of real target images that are no shots.
        shots: ``(K, D)`` features.

    Returns:
        Ratio of the medians; 1 for images as far from the shots as real ones, below 0.5 for copies.
    """
    nearest = [torch.cdist(one.float(), shots.float()).amin(dim=1).median() for one in (generated, held_out)]
    return float(nearest[0] / nearest[1])


def _check_sets(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or len(a) < 2:
        raise ConfigError(f"two sets of one shape and at least two rows are compared, got {a.shape} and {b.shape}.")


def _distances(a: Tensor, b: Tensor, *, power: float) -> Tensor:
    _check_sets(a, b)
    return torch.cdist(a.flatten(1).float(), b.flatten(1).float(), p=power)


def _others(distances: Tensor) -> Tensor:
    return distances[~torch.eye(len(distances), dtype=torch.bool, device=distances.device)]
