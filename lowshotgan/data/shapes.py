"""Drawn data whose truth is known: coloured shapes (categories are combinations) and heads with textured hair.

An image depends on seed, category and index alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.data.images import to_uint8

CANVAS = 128
SHAPES = ("circle", "square", "triangle", "cross", "ring", "star")
COLOURS = {
    "red": (208, 44, 44),
    "green": (48, 160, 62),
    "blue": (52, 84, 208),
    "yellow": (232, 204, 56),
    "purple": (146, 62, 180),
    "cyan": (62, 196, 206),
    "orange": (236, 138, 44),
    "pink": (240, 136, 184),
}
HAIR = {"black": (0.09, 0.08, 0.09), "brown": (0.36, 0.22, 0.12), "blond": (0.86, 0.73, 0.42)}
"""Mean colours of hair categories, in [0, 1]."""


def coloured_shapes(shape: str, colour: str, n: int, *, resolution: int = 32, seed: int = 0) -> Tensor:
    """One shape in one colour at random places, sizes and angles on noisy grey: ``(n, 3, R, R)`` uint8.

    Raises:
        ConfigError: for a shape or colour that is not drawn.
    """
    one_of("shape", shape, SHAPES)
    one_of("colour", colour, COLOURS)
    key = [SHAPES.index(shape), list(COLOURS).index(colour)]
    return torch.stack([_draw_shape(shape, colour, resolution, [seed, *key, index]) for index in range(n)])


def _draw_shape(shape: str, colour: str, resolution: int, key: Sequence[int]) -> Tensor:
    rng = np.random.default_rng(list(key))
    grey = int(rng.integers(70, 190))
    image = Image.new("RGB", (CANVAS, CANVAS), (grey,) * 3)
    radius = rng.uniform(0.24, 0.38) * CANVAS
    x, y = rng.uniform(radius, CANVAS - radius, size=2)
    fill = tuple(int(v) for v in np.clip(np.array(COLOURS[colour]) + rng.normal(0, 8, 3), 0, 255))
    pen = ImageDraw.Draw(image)
    if shape in ("circle", "ring"):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
        if shape == "ring":
            inner = radius * 0.55
            pen.ellipse((x - inner, y - inner, x + inner, y + inner), fill=(grey,) * 3)
    else:
        pen.polygon([(x + radius * a, y + radius * b) for a, b in _outline(shape, rng.uniform(-0.5, 0.5))], fill=fill)
    small = np.asarray(image.resize((resolution, resolution), Image.Resampling.LANCZOS), dtype=np.float32)
    noisy = small + rng.normal(0, 3, small.shape)
    return torch.from_numpy(noisy.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)


def _outline(shape: str, angle: float) -> list[tuple[float, float]]:
    if shape == "cross":
        arm = 0.3
        quarter = [(arm, 1.0), (arm, arm), (1.0, arm), (1.0, -arm)]
        points = [(a, b) for turn in range(4) for a, b in _turned(quarter, -turn * np.pi / 2)]
    else:
        corners = {"square": 4, "triangle": 3, "star": 10}[shape]
        radii = [1.0, 0.45] if shape == "star" else [1.0]
        steps = np.arange(corners) * 2 * np.pi / corners
        points = [(radii[i % len(radii)] * np.sin(t), -radii[i % len(radii)] * np.cos(t)) for i, t in enumerate(steps)]
    return _turned(points, angle)


def _turned(points: Sequence[tuple[float, float]], angle: float) -> list[tuple[float, float]]:
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return [(float(c * a - s * b), float(s * a + c * b)) for a, b in points]


@dataclass(frozen=True)
class Heads:
    """Heads with the truth about their hair.

    Attributes:
        images: ``(N, 3, R, R)`` uint8.
        masks: ``(N, 1, R, R)`` of 0 and 1, hair.
        colours: ``(N, 3)`` mean colour of the hair in [0, 1].
        labels: category of each.
    """

    images: Tensor
    masks: Tensor
    colours: Tensor
    labels: list[str]


def painted_heads(n: int, *, resolution: int = 32, seed: int = 0, categories: Sequence[str] = tuple(HAIR)) -> Heads:
    """Heads with textured hair of random shape in the colours of ``categories``, taken in turn.

    Raises:
        ConfigError: for a category that is not in ``HAIR``.
    """
    labels = [one_of("category", categories[index % len(categories)], HAIR) for index in range(n)]
    drawn = [_paint_head(label, resolution, [seed, index]) for index, label in enumerate(labels)]
    images, masks = torch.stack([image for image, _ in drawn]), torch.stack([mask for _, mask in drawn])
    unit = images.float() / 255
    colours = (unit * masks).sum(dim=(2, 3)) / masks.sum(dim=(2, 3)).clamp(min=1)
    return Heads(images, masks, colours, labels)


def _paint_head(label: str, resolution: int, key: Sequence[int]) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(list(key))
    rows, columns = np.mgrid[0:resolution, 0:resolution] / resolution + 0.5 / resolution
    x, y, wide, tall = rng.uniform(0.44, 0.56), rng.uniform(0.52, 0.6), rng.uniform(0.2, 0.26), rng.uniform(0.24, 0.3)
    length, fringe = rng.uniform(0.0, 0.28), rng.uniform(0.02, 0.1)

    def inside(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        found: np.ndarray = ((columns - cx) / rx) ** 2 + ((rows - cy) / ry) ** 2 < 1
        return found

    face = inside(x, y, wide, tall) & (rows > y - tall + fringe)
    hair = inside(x, y - 0.06 + length / 2, wide + 0.09, tall + 0.08 + length / 2) & ~face & (rows < y + length + 0.05)
    skin, cloth, back = rng.uniform(0.45, 0.85), rng.uniform(0.1, 0.9, 3), rng.uniform(0.25, 1.0, 3)
    image = np.broadcast_to(back, (resolution, resolution, 3)).copy()
    image[inside(x, 1.05, 0.4, 0.25)] = cloth
    image[hair] = np.array(HAIR[label]) + rng.normal(0, 0.025, 3)
    image[face] = skin * np.array([1.0, 0.8, 0.68])
    for side in (-0.09, 0.09):
        image[inside(x + side, y - 0.02, 0.035, 0.03)] = 0.12
    strands = 0.1 * np.sin(columns * rng.uniform(30, 60) + rng.uniform(0, 6)) + rng.normal(0, 0.02, hair.shape)
    image[hair] *= 1 + strands[hair][:, None]
    pixels = torch.from_numpy(image.clip(0, 1).astype(np.float32)).permute(2, 0, 1)
    return to_uint8(pixels * 2 - 1), torch.from_numpy(hair[None].astype(np.float32))
