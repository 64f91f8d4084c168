"""Perceptual distance between images from the maps of a frozen network, without learned heads.

The form of Zhang et al. (CVPR 2018, equation 1) with all channel weights equal: every map is scaled to unit
length over channels at each position; the squared difference is averaged over positions and over maps. Maps
finer than 32 px are averaged down to 32 px first. It is printed as ``PD-<extractor>``; the name LPIPS belongs
to the published heads.

An image becomes one long vector whose squared Euclidean distance *is* the perceptual distance, so all pairs
of two sets take one matrix product.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.checks import whole

Maps = Callable[[Tensor], Sequence[Tensor]]
"""From uint8 images ``(B, 3, H, W)`` to maps ``(B, C, h, w)`` of several scales (``Extractor.maps``)."""

FINEST = 32


def perceptual_vectors(maps: Maps, images: Tensor, *, batch_size: int = 64) -> Tensor:
    """``(N, V)`` vectors of uint8 ``(N, 3, H, W)``; squared distances of rows are perceptual distances."""
    return torch.cat([_vectors(maps(part)) for part in batches(images, batch_size)])


def pairwise_perceptual(a: Tensor, b: Tensor) -> Tensor:
    """``(N, M)`` perceptual distances between the rows of two ``perceptual_vectors``; in [0, 4]."""
    square: Tensor = a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2 * a @ b.T
    return square.clamp(min=0)


def perceptual_distance(maps: Maps, a: Tensor, b: Tensor, *, batch_size: int = 64) -> Tensor:
    """``(N,)`` perceptual distances between two equally long sets of uint8 images ``(N, 3, H, W)``."""
    parts = zip(batches(a, batch_size), batches(b, batch_size), strict=True)
    return torch.cat([(_vectors(maps(x)) - _vectors(maps(y))).square().sum(1) for x, y in parts])


def batches(images: Tensor, size: int) -> Iterator[Tensor]:
    """Consecutive parts of ``(N, ...)`` with at most ``size`` rows; one empty part if there are no rows."""
    whole("batch_size", size)
    return (images[start : start + size] for start in range(0, max(len(images), 1), size))


def _vectors(maps: Sequence[Tensor]) -> Tensor:
    parts = []
    for one in maps:
        one = F.adaptive_avg_pool2d(one, FINEST) if max(one.shape[2:]) > FINEST else one
        parts.append(F.normalize(one, dim=1).flatten(1) / (len(maps) * one.shape[2] * one.shape[3]) ** 0.5)
    return torch.cat(parts, dim=1)
