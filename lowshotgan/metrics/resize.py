"""The named ways images reach an extractor's input size; the name is part of a score's protocol."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def bilinear_antialias(images: Tensor, size: int) -> Tensor:
    """Bilinear with a wider filter when shrinking: ``(B, 3, H, W) -> (B, 3, size, size)``."""
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def bicubic_antialias(images: Tensor, size: int) -> Tensor:
    """Bicubic with a wider filter when shrinking, as Pillow does (Parmar et al., CVPR 2022)."""
    return F.interpolate(images, size=(size, size), mode="bicubic", antialias=True, align_corners=False)


def tf_bilinear(images: Tensor, size: int) -> Tensor:
    """Bilinear as the TensorFlow graph of the original scores: pixel i samples position ``i * H / size``.

    No half-pixel centres and no filter when shrinking.
    """
    for dim in (2, 3):
        length = images.shape[dim]
        position = torch.arange(size, device=images.device) * (length / size)
        low = position.floor().long()
        high = (low + 1).clamp(max=length - 1)
        share = (position - low).view((-1, 1) if dim == 2 else (-1,))
        images = torch.lerp(images.index_select(dim, low), images.index_select(dim, high), share)
    return images


RESIZES: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "bilinear-antialias": bilinear_antialias,
    "antialias": bicubic_antialias,
    "tf-bilinear": tf_bilinear,
}
