"""How far the target images are from the source model, in units of the source's own variety."""

import torch
from torch import Tensor

from lowshotgan.finetune.parts import need
from lowshotgan.metrics.perceptual import Maps, pairwise_perceptual, perceptual_vectors

NEAR = 2.0
"""Below this the target counts as near."""


@torch.no_grad()
def proximity(maps: Maps, images: Tensor, source_images: Tensor) -> float:
    """Mean perceptual distance of target to source images, divided by that among source images.

    Args:
        maps: of a frozen feature network (``Extractor.maps``).
        images: ``(K, 3, R, R)`` uint8 target images.
        source_images: ``(N, 3, R, R)`` uint8 images of the source generator; a few hundred.

    Returns:
        About 1 if the target could be the source's own; larger the farther it is.

    Raises:
        RecipeError: if there is no target image, or fewer than two of the source.
    """
    need(
        len(images) >= 1 and len(source_images) >= 2,
        f"proximity needs a target image and two source images, got {len(images)} and {len(source_images)}.",
    )
    source = perceptual_vectors(maps, source_images)
    among = pairwise_perceptual(source, source).sum() / (len(source) * (len(source) - 1))
    across = pairwise_perceptual(perceptual_vectors(maps, images), source).mean()
    return float(across / among.clamp(min=1e-8))
