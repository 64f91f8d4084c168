"""How far the target images are from the source model, as the source's own discriminator sees it."""

import torch
from torch import Tensor

from lowshotgan.finetune.parts import need
from lowshotgan.nets.stylegan2 import Discriminator

NEAR = 0.9
"""Below this balanced accuracy the target counts as near."""


@torch.no_grad()
def proximity(discriminator: Discriminator, images: Tensor, source_images: Tensor, *, ridge: float = 0.1) -> float:
    """Balanced accuracy of a ridge classifier, leave-one-out, that tells target from source images.

    Each image is seen alone, so that the minibatch deviation carries nothing about its neighbours.

    Args:
        discriminator: of the source model; its last features are used.
        images: ``(K, 3, R, R)`` target images in [-1, 1]; K >= 2.
        source_images: ``(N, 3, R, R)`` images of the source generator; about 500.
        ridge: strength of the penalty, as a share of the number of images.

    Returns:
        0.5 if the two cannot be told apart (near), up to 1.0 (far).

    Raises:
        RecipeError: if there are fewer than two images on either side.
    """
    need(
        len(images) >= 2 and len(source_images) >= 2,
        f"proximity needs two images on each side, got {len(images)} and {len(source_images)}.",
    )
    features = torch.cat([_features(discriminator, images), _features(discriminator, source_images)])
    return balanced_accuracy(features, targets=len(images), ridge=ridge)


def balanced_accuracy(features: Tensor, *, targets: int, ridge: float = 0.1) -> float:
    """Leave-one-out balanced accuracy of a ridge classifier whose two classes weigh the same.

    Args:
        features: ``(N, C)``, the targets first.
        targets: how many rows are targets.
        ridge: strength of the penalty, as a share of N.
    """
    count = len(features)
    x = features.double()
    spread = x.std(dim=0)
    x = (x - x.mean(dim=0)) / spread.clamp(min=1e-6 * float(spread.max()) + 1e-12)
    x = torch.cat([x, torch.ones(count, 1, dtype=x.dtype, device=x.device)], dim=1)
    sign = torch.ones(count, dtype=x.dtype, device=x.device)
    sign[targets:] = -1.0
    weight = torch.full_like(sign, count / (2 * (count - targets)))
    weight[:targets] = count / (2 * targets)
    gram = x.T @ (weight[:, None] * x) + ridge * count * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    hat = x @ torch.linalg.solve(gram, x.T * weight)  # (N, N)
    own = hat.diagonal()
    left_out = (hat @ sign - own * sign) / (1 - own)  # prediction without the image itself
    right = (left_out * sign > 0).double()
    return float((right[:targets].mean() + right[targets:].mean()) / 2)


def _features(discriminator: Discriminator, images: Tensor) -> Tensor:
    seen = [discriminator(image[None], return_features=True)[1]["b4.fc"] for image in images]
    return torch.cat(seen).flatten(1)
