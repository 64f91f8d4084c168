"""The images a run uses: chosen by seed, read once, prepared, kept in memory when they fit, and recorded."""

import hashlib
import json
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import as_whole, keywords
from lowshotgan.data.base import Source, Subset
from lowshotgan.data.inspect import ImageReport, make_report
from lowshotgan.data.preprocess import Preprocess
from lowshotgan.data.reading import raise_failures, read_all
from lowshotgan.data.sources import open_source
from lowshotgan.errors import ConfigError, ImageInputError

MEMORY_LIMIT = 2**30
"""Bytes of prepared images that are kept in memory."""
LOOKED_AT = 2000
"""Images that are read for the report when the set does not fit in memory."""


def load_images(
    images: Any,
    *,
    resolution: int,
    fit: str = "crop",
    background: tuple[int, int, int] = (255, 255, 255),
    enlarge: bool = True,
    width: int | None = None,
    channels: int = 3,
    k: int | None = None,
    seed: int = 0,
    memory_limit: int = MEMORY_LIMIT,
    **source_options: Any,
) -> "ImageSet":
    """Open, choose, read, check and prepare images; nothing is written anywhere.

    Args:
        images: anything ``open_source`` opens, or an ``ImageSet``, prepared again if need be.
        resolution: side of the prepared images in pixels.
        fit: as in ``Preprocess``; so are ``background``, ``enlarge``, ``width`` and ``channels``.
        k: number of images to draw at random; all if left out.
        seed: of that draw; for one seed, the draw with k contains every draw with a smaller k.
        memory_limit: prepared images above this many bytes in all are read again whenever they are needed.
        source_options: ``include``, ``exclude``, ``classes``, ``split`` and ``column`` of ``open_source``.

    Raises:
        ImageInputError: if there are no images, fewer than ``k``, ``k`` is below 1, or some cannot be read
            (told in one message, which names up to five).
        ConfigError: for an unusable option.
    """
    preprocess = Preprocess(
        resolution, fit=fit, background=background, enlarge=enlarge, width=width, channels=channels
    )
    if isinstance(images, ImageSet):
        if images.preprocess == preprocess and k is None and not source_options:
            return images
        images = images.source
    source = open_source(images, **source_options)
    indices = draw_subset(len(source), k, seed, where=source.description)
    chosen = Subset(source, indices) if k is not None else source
    record = {"k": k, "seed": seed, "available": len(source), "indices": indices} if k is not None else None
    return ImageSet(chosen, preprocess, draw=record, memory_limit=memory_limit)


IMAGE_OPTIONS = keywords(load_images, open_source) - {"resolution", "width", "channels", "memory_limit"}
"""Options that say which images are read and how; the others are the model's."""


def draw_subset(available: int, k: int | None, seed: int, *, where: str = "the input") -> list[int]:
    """Indices of ``k`` of ``available`` images, rising; all of them for ``k=None``.

    Raises:
        ImageInputError: if ``k`` is below 1 or above ``available``.
    """
    if k is None:
        return list(range(available))
    number = as_whole(k)
    if number is None or number < 1:
        raise ImageInputError(f"k must be a whole number of at least 1, got {k!r}; leave it out to use all images.")
    if number > available:
        raise ImageInputError(f"k={k} but {where} has only {available} images; add images or lower k.")
    order = torch.randperm(available, generator=torch.Generator().manual_seed(seed))
    return sorted(order[:number].tolist())


class ImageSet:
    """Prepared images with their names and a report.

    Args:
        source: the images, all of which belong to the set.
        preprocess: how they are prepared.
        draw: record of the random draw that chose them, if there was one.
        memory_limit: see ``load_images``.

    Raises:
        ImageInputError: if some cannot be read.
    """

    def __init__(
        self,
        source: Source,
        preprocess: Preprocess,
        *,
        draw: dict[str, Any] | None = None,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.source, self.preprocess = source, preprocess
        self.in_memory = len(source) * preprocess.channels * math.prod(preprocess.shape) <= memory_limit
        step = 1 if self.in_memory else max(1, len(source) // LOOKED_AT)
        looked_at = range(0, len(source), step)
        facts, pixels, failures = read_all(source, preprocess, looked_at)
        raise_failures(failures, len(looked_at))
        self.report: ImageReport = make_report(source, preprocess, facts, pixels.expand(-1, 3, -1, -1))
        self._pixels = pixels if self.in_memory else None
        self._draw = draw

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        return f"ImageSet({len(self)} images of {self.resolution} px from {self.source.description})"

    def describe(self) -> dict[str, Any]:
        """What identifies the images, as plain values: number, digest and how they are prepared."""
        return {"count": len(self), "digest": self.digest, "preprocess": self.preprocess.to_dict()}

    @property
    def resolution(self) -> int:
        """Side of the images in pixels."""
        return self.preprocess.resolution

    @cached_property
    def names(self) -> list[str]:
        """Name of each image."""
        return [self.source.name(index) for index in range(len(self))]

    @property
    def subset(self) -> dict[str, Any]:
        """What to record about the choice of images: ``k``, ``seed``, ``available``, ``indices``, ``names``.

        Without a draw, ``seed`` and ``indices`` are ``None``.
        """
        draw = self._draw or {"k": len(self), "seed": None, "available": len(self), "indices": None}
        return draw | {"names": self.names}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the prepared pixels; of names and settings for a set that is not kept in memory."""
        if self._pixels is not None:
            digest = hashlib.sha256(str(tuple(self._pixels.shape)).encode())
            digest.update(self._pixels.contiguous().numpy().data)
            return digest.hexdigest()
        described = {"names": self.names, "preprocess": self.preprocess.to_dict()}
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def uint8(self, indices: Sequence[int] | Tensor | None = None) -> Tensor:
        """``(N, C, R, R)`` uint8 images on the CPU (C is 3, or 1 for grey); do not change the tensor of all images in place.

        Args:
            indices: which images, in which order; all if left out.

        Raises:
            ImageInputError: if an image that was not kept in memory cannot be read any more.
            ConfigError: for an index outside the set.
        """
        if indices is None:
            return self._pixels if self._pixels is not None else self._read(range(len(self)))
        rows = [int(index) for index in indices]
        if rows and not -len(self) <= min(rows) <= max(rows) < len(self):
            raise ConfigError(f"indices must be from 0 to {len(self) - 1}, got {min(rows)} to {max(rows)}.")
        return self._pixels[rows] if self._pixels is not None else self._read([row % len(self) for row in rows])

    def _read(self, rows: Sequence[int]) -> Tensor:
        _, pixels, failures = read_all(self.source, self.preprocess, rows)
        raise_failures(failures, len(rows))
        return pixels
