"""How far an image is from the one it should be; every function returns one value per sample, ``(B,)``."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def absolute_difference(images: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of ``(B, ...)`` values."""
    return (images.float() - target.float()).abs().flatten(1).mean(dim=1)


def feature_distance(maps: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Perceptual distance without learned heads (the form of Zhang et al., CVPR 2018, equation 1).

    Every map is scaled to unit length over channels; the squared difference is averaged over positions and maps.

    Args:
        maps: ``(B, C, h, w)`` each, from a frozen network.
        target: maps of the wanted images, same shapes.

    Returns:
        ``(B,)`` in [0, 4].
    """
    terms = [_unit_difference(ours, theirs) for ours, theirs in zip(maps, target, strict=True)]
    return torch.stack(terms).mean(dim=0)


def pooled_feature_difference(features: Tensor, target: Tensor) -> Tensor:
    """Feature matching: mean absolute difference of the spatial means of ``(B, C, h, w)`` (Liu et al., ICCV 2019)."""
    return absolute_difference(features.float().mean(dim=(2, 3)), target.float().mean(dim=(2, 3)))


def _unit_difference(a: Tensor, b: Tensor) -> Tensor:
    difference = F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)
    return difference.square().sum(dim=1).mean(dim=(1, 2))
