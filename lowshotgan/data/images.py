"""The only conversions between floats in [-1, 1], uint8 and PIL images, and contact sheets made of them."""

import math
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from lowshotgan.errors import ConfigError


def to_uint8(images: Tensor) -> Tensor:
    """Turn ``(..., H, W)`` floats in [-1, 1] into uint8: values outside are clamped, halves are rounded up.

    NaN becomes 0, so that a broken image looks black instead of undefined.
    """
    levels = images.detach().float() * 127.5 + 128.0  # 127.5 centres [-1, 1]; the extra 0.5 with floor rounds half up
    return levels.nan_to_num(nan=0.0).floor().clamp(0, 255).to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """Turn uint8 images of any shape into float32 in [-1, 1]; ``to_uint8`` gives the same values back.

    Raises:
        ConfigError: if ``images`` is not uint8.
    """
    if images.dtype != torch.uint8:
        raise ConfigError(f"from_uint8 needs a uint8 tensor, got {images.dtype}; floats are already converted.")
    return images.float() / 127.5 - 1.0


def to_pil(images: Tensor) -> list[Image.Image]:
    """Turn ``(C, H, W)`` or ``(B, C, H, W)`` images, float in [-1, 1] or uint8, into PIL images: RGB, or grey for C = 1.

    Raises:
        ConfigError: for any other shape.
    """
    batch = _as_batch(images)
    levels = batch if batch.dtype == torch.uint8 else to_uint8(batch)
    rows = levels[:, 0] if levels.shape[1] == 1 else levels.permute(0, 2, 3, 1)
    return [Image.fromarray(one.numpy()) for one in rows.contiguous().cpu()]


def image_grid(images: Tensor, columns: int | None = None, *, padding: int = 2) -> Image.Image:
    """Lay images out row by row on white.

    Args:
        images: ``(N, 3 or 1, H, W)``, float in [-1, 1] or uint8, N >= 1.
        columns: images per row; by default the grid is as square as it can be.
        padding: white pixels between and around the images.

    Raises:
        ConfigError: for an empty batch, another shape or ``columns`` below 1.
    """
    tiles = to_pil(images)
    if not tiles:
        raise ConfigError("image_grid got no images; pass at least one.")
    if columns is not None and columns < 1:
        raise ConfigError(f"columns must be at least 1, got {columns}.")
    columns = min(columns or math.ceil(math.sqrt(len(tiles))), len(tiles))
    return _paste(tiles, columns, padding)


def _paste(tiles: Sequence[Image.Image], columns: int, padding: int) -> Image.Image:
    step_x, step_y = tiles[0].width + padding, tiles[0].height + padding
    rows = math.ceil(len(tiles) / columns)
    sheet = Image.new("RGB", (columns * step_x + padding, rows * step_y + padding), "white")
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (padding + column * step_x, padding + row * step_y))
    return sheet


def _as_batch(images: Tensor) -> Tensor:
    batch = images[None] if images.ndim == 3 else images
    if batch.ndim != 4 or batch.shape[1] not in (1, 3):
        raise ConfigError(f"images must be (C, H, W) or (B, C, H, W) with 3 or 1 channels, got {tuple(images.shape)}.")
    return batch
