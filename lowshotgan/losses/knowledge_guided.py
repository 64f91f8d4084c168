"""Losses of KG-GAN (Chang et al., arXiv 1905.12261): distance of embeddings, colour of a region, and its shape."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.checks import one_of

DISTANCES = ("l2", "l1", "cosine")


def embedding_distance(found: Tensor, wanted: Tensor, *, kind: str = "l2", mask: Tensor | None = None) -> Tensor:
    """Distance of a regressed embedding from a category's: the semantic loss.

    Args:
        found: ``(B, d)``.
        wanted: ``(B, d)``.
        kind: "l2" (sum of squares), "l1" (sum of absolute differences) or "cosine" (one minus the cosine).
        mask: ``(B, d)`` of zeros and ones; dimensions at zero do not count.

    Returns:
        ``(B,)``.
    """
    one_of("distance", kind, DISTANCES)
    found, wanted = found.float(), wanted.float()
    if mask is not None:
        found, wanted = found * mask, wanted * mask
    if kind == "cosine":
        return 1.0 - F.cosine_similarity(found, wanted, dim=1)
    away = found - wanted
    return (away.square() if kind == "l2" else away.abs()).sum(dim=1)


def region_colour(images: Tensor, region: Tensor, *, eps: float = 1e-4) -> Tensor:
    """Mean colour of a region: the colour estimator H.

    Args:
        images: ``(B, 3, H, W)``.
        region: ``(B, 1, H, W)`` in [0, 1], the weight of each pixel.
        eps: added to the weights' mean, so that an empty region gives a finite colour.

    Returns:
        ``(B, 3)`` in the range of ``images``.
    """
    weights = region.float()
    return (images.float() * weights).mean(dim=(2, 3)) / (weights.mean(dim=(2, 3)) + eps)


def region_variance(images: Tensor, region: Tensor, *, eps: float = 1e-4) -> Tensor:
    """How much the colour varies inside a region, in the squared units of ``images``, as a mean over the channels.

    Args:
        images: ``(B, 3, H, W)``.
        region: ``(B, 1, H, W)`` in [0, 1], the weight of each pixel.
        eps: as in ``region_colour``.

    Returns:
        ``(B,)``, 0 where the region has one colour.
    """
    mean = region_colour(images, region, eps=eps)[:, :, None, None]
    return region_colour((images.float() - mean).square(), region, eps=eps).mean(dim=1)


def colour_difference(found: Tensor, wanted: Tensor) -> Tensor:
    """Sum over the channels of absolute differences of ``(B, 3)`` colours."""
    return (found.float() - wanted.float()).abs().sum(dim=1)


def area(region: Tensor) -> Tensor:
    """Share of an image a region ``(B, 1, H, W)`` covers."""
    return region.float().flatten(1).mean(dim=1)


def indecision(region: Tensor) -> Tensor:
    """Mean of ``m (1 - m)``: zero where every pixel is surely inside or outside."""
    region = region.float()
    return (region * (1.0 - region)).flatten(1).mean(dim=1)


def out_of_range(images: Tensor) -> Tensor:
    """Mean of how far values of ``(B, ...)`` lie beyond [-1, 1], before clamping."""
    return F.relu(images.float().abs() - 1.0).flatten(1).mean(dim=1)


def category_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of ``(B, C)`` category logits and ``(B,)`` labels."""
    return F.cross_entropy(logits.float(), labels, reduction="none")


def nearest(found: Tensor, table: Tensor) -> Tensor:
    """``(B,)`` rows of ``table (N, d)`` nearest to each of ``found (B, d)``."""
    return torch.cdist(found.float(), table.float()).argmin(dim=1)
