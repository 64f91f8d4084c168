"""Codes whose content and appearance come from noise or from encoded images, for systems that encode both."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError
from lowshotgan.nets.lado import Codes

CHUNK = 16


def mix_codes(
    parts: Sequence[Tensor],
    encoders: Sequence[Callable[[Tensor], Tensor]],
    images: Sequence[Any],
    *,
    names: Sequence[str],
    resolution: int,
) -> Tensor:
    """Put codes together from their parts.

    Args:
        parts: what noise gives for each part, ``(M, D_i)``.
        encoders: from images ``(B, 3, R, R)`` in [-1, 1] to each part's means ``(B, D_i)``.
        images: for each part, images (anything ``load_images`` takes) to encode instead, or ``None``.
        names: of the parts, in the plural, for the error message.
        resolution: R.

    Returns:
        ``(N, sum of D_i)``; seeds do nothing where all parts are encoded.

    Raises:
        ConfigError: if the numbers of seeds and images differ and none of them is 1.
        ImageInputError: for images that cannot be read.
    """
    found, noise = list(parts), len(parts[0])
    device = parts[0].device
    for place, given in enumerate(images):
        if given is not None:
            pixels = from_uint8(load_images(given, resolution=resolution).uint8())
            found[place] = torch.cat([encoders[place](part.to(device)) for part in pixels.split(CHUNK)])
    if all(given is not None for given in images):
        noise = 1
    count = max(noise, *map(len, found))
    if any(size not in (1, count) for size in (noise, *map(len, found))):
        counts = [f"{len(part)} {name}" for part, name in zip(found, names, strict=True)]
        raise ConfigError(
            f"{noise} seeds, {' and '.join(counts)} do not go together; give equally many, or one of a kind."
        )
    return torch.cat([part.expand(count, -1) for part in found], dim=1)


def means(encoder: Callable[[Tensor], Codes]) -> Callable[[Tensor], Tensor]:
    """The means an encoder of distributions gives."""
    return lambda images: encoder(images).mean
