"""Pictures of a report as data-URI PNGs, reduced together until a page of them stays small."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from PIL import Image
from torch import Tensor

from lowshotgan.data.images import to_pil

LARGEST_SIDE = 256
"""Pictures are shown at 128 pixels, so this is enough for a screen of double density."""
SMALLEST_SIDE = 32
LIMIT = 1_250_000
"""Characters that all pictures of one page may take."""


@dataclass(frozen=True)
class Encoded:
    """Pictures ready for ``<img src>``.

    Attributes:
        groups: data URIs, in the order given.
        side: encoded side in pixels.
        palette: whether colours were reduced to 256 for each picture.
    """

    groups: tuple[tuple[str, ...], ...]
    side: int
    palette: bool


def encode(groups: Sequence[Tensor], *, limit: int = LIMIT) -> Encoded:
    """Encode groups of pictures at the largest size at which all of them fit the limit.

    Args:
        groups: each ``(N, 3, R, R)`` uint8, of one R; N may be 0.
        limit: characters for all of them; the smallest size is used even if it does not fit.
    """
    pictures = [each for group in groups for each in to_pil(group)]
    *larger, smallest = _sizes(int(groups[0].shape[-1]))
    for side, palette in larger:
        uris = _encoded(pictures, side, palette, limit)
        if uris is not None:
            break
    else:
        side, palette = smallest
        uris = [data_uri(reduced(each, side, palette)) for each in pictures]
    rest = iter(uris)
    return Encoded(tuple(tuple(islice(rest, len(group))) for group in groups), side, palette)


def _encoded(pictures: Sequence[Image.Image], side: int, palette: bool, limit: int) -> list[str] | None:
    """Data URIs, or ``None`` as soon as they exceed the limit."""
    uris, room = [], limit
    for picture in pictures:
        uris.append(data_uri(reduced(picture, side, palette)))
        room -= len(uris[-1])
        if room < 0:
            return None
    return uris


def _sizes(resolution: int) -> Iterator[tuple[int, bool]]:
    side = min(resolution, LARGEST_SIDE)
    yield side, False
    while side // 2 >= SMALLEST_SIDE:
        side //= 2
        if 2 * side < LARGEST_SIDE:
            yield 2 * side, True
        yield side, False
    yield side, True


def reduced(picture: Image.Image, side: int, palette: bool = False) -> Image.Image:
    """The picture at no more than ``side`` pixels, with its own 256 colours if ``palette``."""
    if picture.width > side:
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    return picture.quantize(256, method=Image.Quantize.MEDIANCUT) if palette else picture


def data_uri(picture: Image.Image) -> str:
    """The picture as ``data:image/png;base64,...``."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
