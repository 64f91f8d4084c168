"""Transforms of images that leave some attributes alone, so that E learns attributes rather than their combinations."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lowshotgan.data.knowledge import attribute_groups
from lowshotgan.draws import Draws
from lowshotgan.nets.shift import random_shift

Transform = Callable[[Tensor, Draws], Tensor]


def scramble_colour(images: Tensor, draws: Draws) -> Tensor:
    """Mix the channels of each of ``(B, 3, H, W)`` at random: shapes stay, colours do not."""
    mix = draws.normal(len(images), 3, 3)
    mix = mix / mix.abs().sum(dim=2, keepdim=True)
    offset = (draws.uniform(len(images), 3, 1, 1) - 0.5) * 0.6
    return (torch.einsum("bij,bjhw->bihw", mix, images) + offset).clamp(-1, 1)


def erase_patches(images: Tensor, draws: Draws) -> Tensor:
    """Replace about half of an 8 x 8 grid of patches by the mean colour of the image: colours stay, shapes suffer."""
    mean = images.mean(dim=(2, 3), keepdim=True)
    erased = draws.uniform(len(images), 1, 8, 8) < 0.5
    mask = torch.nn.functional.interpolate(erased.float(), size=images.shape[2:])
    return images.lerp(mean.expand_as(images), mask)


def erase_square(images: Tensor, draws: Draws, *, side: int) -> Tensor:
    """Replace one square of ``side`` pixels anywhere in each image by the mean colour of the image."""
    position = torch.arange(images.shape[-1], device=images.device)
    first = draws.integers(images.shape[-1] - side + 1, len(images), 2)
    inside = (position >= first[..., None]) & (position < first[..., None] + side)  # (B, 2, side)
    hole = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]
    return torch.where(hole, images.mean(dim=(2, 3), keepdim=True), images)


def shuffle_patches(images: Tensor, draws: Draws) -> Tensor:
    """Put the 4 x 4 patches of each image in a random order: colours stay, shapes do not."""
    batch, channels, height, width = images.shape
    tall, wide = height // 4, width // 4
    patches = images.unfold(2, tall, tall).unfold(3, wide, wide).reshape(batch, channels, 16, tall, wide)
    order = draws.uniform(batch, 16).argsort(dim=1)[:, None, :, None, None].expand_as(patches)
    shuffled = patches.gather(2, order).view(batch, channels, 4, 4, tall, wide)
    return shuffled.permute(0, 1, 2, 4, 3, 5).reshape(batch, channels, 4 * tall, 4 * wide)


def shift(images: Tensor, draws: Draws) -> Tensor:
    """Move each image by up to a quarter of its side."""
    return random_shift(images, draws, pixels=images.shape[-1] // 4)


TRANSFORMS: Mapping[str, Transform] = {
    "scramble_colour": scramble_colour,
    "erase_patches": erase_patches,
    "shuffle_patches": shuffle_patches,
    "shift": shift,
}


class Nuisance:
    """Transforms a random half of a batch, and tells which dimensions are still to be learnt from each image.

    Args:
        dimensions: names of the dimensions, ``group=value``.
        pairs: ``group:transform``; a transform spoils every group that does not name it.
    """

    def __init__(self, dimensions: Sequence[str], pairs: Sequence[str]) -> None:
        groups = attribute_groups(dimensions)
        named = [pair.partition(":")[::2] for pair in pairs]
        self.transforms = list(dict.fromkeys(transform for _, transform in named))
        self.kept = torch.zeros(len(self.transforms) + 1, len(dimensions))
        self.kept[0] = 1.0  # an image left as it is teaches every dimension
        for group, transform in named:
            self.kept[self.transforms.index(transform) + 1, groups[group]] = 1.0

    def __call__(self, images: Tensor, draws: Draws) -> tuple[Tensor, Tensor | None]:
        """The images, about half of them transformed, and a ``(B, d)`` mask; ``None`` if nothing was named."""
        if not self.transforms:
            return images, None
        chosen = draws.integers(len(self.transforms), len(images)) + 1
        chosen = torch.where(draws.uniform(len(images)) < 0.5, chosen, torch.zeros_like(chosen))
        for index, name in enumerate(self.transforms, start=1):
            changed = TRANSFORMS[name](images, draws)
            images = torch.where((chosen == index)[:, None, None, None], changed, images)
        return images, self.kept.to(images.device)[chosen]
