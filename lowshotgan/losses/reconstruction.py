"""How far an image is from the one it should be; every function returns one value per sample, ``(B,)``."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def absolute_difference(images: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of ``(B, ...)`` values."""
    return (images.float() - target.float()).abs().flatten(1).mean(dim=1)


def squared_difference(values: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of ``(B, ...)`` values."""
    return (values.float() - target.float()).square().flatten(1).mean(dim=1)


def layered_difference(maps: Sequence[Tensor], target: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted sum over layers of the mean absolute difference of features (Wang et al., CVPR 2018, equation 4).

    Args:
        maps: ``(B, ...)`` each, from a frozen network.
        target: features of the wanted images, same shapes.
        weights: of the layers; further layers are not used.

    Returns:
        ``(B,)``, at least 0.
    """
    layers = zip(weights, maps, target, strict=False)
    return torch.stack([weight * absolute_difference(ours, theirs) for weight, ours, theirs in layers]).sum(dim=0)


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


def _unit_difference(a: Tensor, b: Tensor) -> Tensor:
    difference = F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)
    return difference.square().sum(dim=1).mean(dim=(1, 2))
