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


def pooled_feature_difference(features: Tensor, target: Tensor) -> Tensor:
    """Feature matching: mean absolute difference of the spatial means of ``(B, C, h, w)`` (Liu et al., ICCV 2019)."""
    return absolute_difference(features.float().mean(dim=(2, 3)), target.float().mean(dim=(2, 3)))


def layout_difference(maps: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Semantic consistency (Ma et al., ICLR 2019): mean absolute difference of maps whose channels have unit length over
    positions, the i-th of n maps weighted by i / n.

    Args:
        maps: ``(B, C, h, w)`` each, from shallow to deep.
        target: maps of the content images, same shapes.
    """
    pairs = zip(_over_positions(maps), _over_positions(target), strict=True)
    terms = [index / len(maps) * absolute_difference(*pair) for index, pair in enumerate(pairs, start=1)]
    return torch.stack(terms).sum(dim=0)


def gram_difference(maps: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Style difference (Gatys et al., CVPR 2016) of maps whose channels have unit length over positions.

    Args:
        maps: ``(B, C, h, w)`` each; positions may differ in number from those of ``target``.
        target: maps of the exemplars.

    Returns:
        ``(B,)`` sums over maps of the mean absolute difference of the channels' inner products over positions.
    """
    pairs = zip(_over_positions(maps), _over_positions(target), strict=True)
    return torch.stack([absolute_difference(_gram(ours), _gram(theirs)) for ours, theirs in pairs]).sum(dim=0)


def pyramid_error(images: Tensor, target: Tensor) -> Tensor:
    """``(B,)`` mean absolute difference, averaged over the resolutions R, R/2 and R/4."""
    errors = []
    for _ in range(3):
        errors.append((images - target).abs().mean(dim=(1, 2, 3)))
        images, target = F.avg_pool2d(images, 2), F.avg_pool2d(target, 2)
    return torch.stack(errors).mean(dim=0)


def _over_positions(maps: Sequence[Tensor]) -> list[Tensor]:
    """Each map as ``(B, C, h w)`` with channels of unit length."""
    return [F.normalize(one.float().flatten(2), dim=2) for one in maps]


def _gram(values: Tensor) -> Tensor:
    return values @ values.transpose(1, 2) / values.shape[2]


def _unit_difference(a: Tensor, b: Tensor) -> Tensor:
    difference = F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)
    return difference.square().sum(dim=1).mean(dim=(1, 2))
