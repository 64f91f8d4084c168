"""Decode and prepare many images at once, on several threads, collecting every failure."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from lowshotgan.data.base import Source
from lowshotgan.data.decode import Decoded
from lowshotgan.data.preprocess import WIDE_MODES, Preprocess
from lowshotgan.errors import ImageInputError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Facts:
    """What one image was before it was prepared; width and height in pixels, after EXIF rotation."""

    name: str
    width: int
    height: int
    mode: str
    rotated: bool
    animated: bool
    transparent: bool
    deep: bool


def read_all(
    source: Source, preprocess: Preprocess, indices: Sequence[int] | None = None
) -> tuple[list[Facts], Tensor, list[tuple[str, str]]]:
    """Read and prepare images.

    Args:
        source: the images.
        preprocess: how each is prepared.
        indices: which to read; all if left out.

    Returns:
        Facts and pixels ``(N, C, R, R)`` uint8 of the images that could be read, in order, and (name,
        message) of the others.
    """
    chosen = list(range(len(source)) if indices is None else indices)
    pixels = torch.empty(len(chosen), preprocess.channels, *preprocess.shape[::-1], dtype=torch.uint8)

    def read(row: int) -> Facts | tuple[str, str]:
        name = source.name(chosen[row])
        try:
            decoded = source.decode(chosen[row])
            facts = _facts(name, decoded)
            pixels[row] = preprocess(decoded.image)
        except ImageInputError as error:
            return name, str(error) if name in str(error) else f"{name}: {error}"
        return facts

    results = _run(read, len(chosen), parallel=source.parallel)
    good = [row for row, result in enumerate(results) if isinstance(result, Facts)]
    facts = [result for result in results if isinstance(result, Facts)]
    failures = [result for result in results if not isinstance(result, Facts)]
    return facts, pixels if len(good) == len(chosen) else pixels[good], failures


def raise_failures(failures: Sequence[tuple[str, str]], total: int) -> None:
    """Raise one error for all images that could not be read.

    Raises:
        ImageInputError: if there are any; a single one keeps its own message.
    """
    if len(failures) == 1:
        raise ImageInputError(failures[0][1])
    if failures:
        shown = "\n  ".join(message for _, message in failures[:5])
        more = f"\n  and {len(failures) - 5} more" if len(failures) > 5 else ""
        raise ImageInputError(f"{len(failures)} of {total} images cannot be read:\n  {shown}{more}")


def _facts(name: str, decoded: Decoded) -> Facts:
    image = decoded.image
    return Facts(
        name=name,
        width=image.width,
        height=image.height,
        mode=image.mode,
        rotated=decoded.rotated,
        animated=decoded.animated,
        transparent=image.has_transparency_data,
        deep=image.mode in WIDE_MODES,
    )


def _run(work: Callable[[int], Result], count: int, *, parallel: bool) -> list[Result]:
    threads = min(os.cpu_count() or 1, count) if parallel else 1
    if threads <= 1:
        return [work(row) for row in range(count)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))
