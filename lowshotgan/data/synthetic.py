"""Small drawn domains for tests, examples and offline demonstrations: simple faces in several styles.

Content (hair, eyes, mouth, glasses ...) depends on the seed and the index alone, so two styles with the same
seed are pixel-aligned pairs, and the first images of a longer draw are those of a shorter one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.errors import ConfigError

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

CANVAS = 256
"""Side that a face is drawn at, in pixels, before it is reduced."""
SKINS: tuple[Colour, ...] = ((255, 219, 187), (241, 194, 145), (198, 134, 88), (141, 85, 54), (92, 58, 40))
HAIRS: tuple[Colour, ...] = (
    (36, 30, 30),
    (96, 58, 34),
    (222, 178, 92),
    (176, 70, 40),
    (150, 150, 158),
    (88, 96, 190),
)
GLOWS: tuple[Colour, ...] = ((255, 64, 190), (60, 220, 255), (150, 255, 90), (255, 170, 50))
INK: Colour = (24, 24, 28)


@dataclass(frozen=True)
class Face:
    """What is drawn; lengths are shares of the side of the picture."""

    skin: Colour
    hair: Colour
    glow: Colour
    width: float
    height: float
    shift: float
    hair_height: float
    hair_length: float
    eye_gap: float
    eye_size: float
    smile: float
    mouth_width: float
    open_mouth: bool
    glasses: bool


def faces(n: int, *, resolution: int = 32, style: str = "flat", seed: int = 0) -> Tensor:
    """Draw ``n`` faces.

    Args:
        n: how many, at least 1.
        resolution: side in pixels, 8 to 256.
        style: ``"flat"`` (coloured areas on white), ``"line"`` (ink outlines on paper), ``"neon"`` (glowing
            outlines on black) or ``"inverted"`` (the negative of flat).
        seed: of the content, which is the same in every style.

    Returns:
        ``(n, 3, resolution, resolution)`` uint8.

    Raises:
        ConfigError: for a number, size or style outside of these.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError(f"n must be a whole number of at least 1, got {n!r}.")
    if not 8 <= resolution <= CANVAS:
        raise ConfigError(f"resolution must be from 8 to {CANVAS}, got {resolution}.")
    draw = STYLES[one_of("style", style, STYLES)]
    drawn = (draw(_content(seed, index)) for index in range(n))
    small = [image.resize((resolution, resolution), Image.Resampling.LANCZOS) for image in drawn]
    return torch.from_numpy(np.stack([np.asarray(image) for image in small])).permute(0, 3, 1, 2).contiguous()


def _content(seed: int, index: int) -> Face:
    rng = np.random.default_rng([seed, index])
    return Face(
        skin=SKINS[rng.integers(len(SKINS))],
        hair=HAIRS[rng.integers(len(HAIRS))],
        glow=GLOWS[rng.integers(len(GLOWS))],
        width=rng.uniform(0.23, 0.31),
        height=rng.uniform(0.29, 0.36),
        shift=rng.uniform(-0.06, 0.06),
        hair_height=rng.uniform(0.05, 0.13),
        hair_length=rng.choice([0.0, 0.0, 0.18, 0.34]),
        eye_gap=rng.uniform(0.09, 0.13),
        eye_size=rng.uniform(0.022, 0.04),
        smile=rng.uniform(-0.05, 0.08),
        mouth_width=rng.uniform(0.07, 0.13),
        open_mouth=bool(rng.random() < 0.3),
        glasses=bool(rng.random() < 0.3),
    )


class _Pen:
    """Draws the parts of a face: filled areas, outlines, or both."""

    def __init__(self, paper: Colour, *, outline: Colour | None, filled: bool, width: int = 6) -> None:
        self.image = Image.new("RGB", (CANVAS, CANVAS), paper)
        self._draw = ImageDraw.Draw(self.image)
        self._outline, self._filled, self._paper, self._width = outline, filled, paper, width

    def ellipse(self, box: Box, colour: Colour) -> None:
        fill = colour if self._filled else self._paper
        self._draw.ellipse(self._scaled(box), fill=fill, outline=self._outline, width=self._width)

    def ring(self, box: Box, colour: Colour) -> None:
        self._draw.ellipse(self._scaled(box), outline=self._outline or colour, width=self._width)

    def dot(self, box: Box, colour: Colour) -> None:
        self._draw.ellipse(self._scaled(box), fill=self._outline or colour)

    def curve(self, points: list[tuple[float, float]], colour: Colour) -> None:
        scaled = [(x * CANVAS, y * CANVAS) for x, y in points]
        self._draw.line(scaled, fill=self._outline or colour, width=self._width + 1, joint="curve")

    @staticmethod
    def _scaled(box: Box) -> Box:
        left, top, right, bottom = (value * CANVAS for value in box)
        return left, top, right, bottom


def _draw_face(face: Face, pen: _Pen) -> Image.Image:
    x, y = 0.5 + face.shift, 0.54
    hair_top, hair_side = y - face.height - face.hair_height, face.width + 0.05
    pen.ellipse((x - hair_side, hair_top, x + hair_side, y + 0.1 + face.hair_length), face.hair)
    pen.ellipse((x - face.width, y - face.height + 0.04, x + face.width, y + face.height), face.skin)
    for side in (-1, 1):
        eye_x, eye_y, r = x + side * face.eye_gap, y - 0.04, face.eye_size
        pen.dot((eye_x - r, eye_y - r, eye_x + r, eye_y + r), INK)
        if face.glasses:
            pen.ring((eye_x - 0.075, eye_y - 0.065, eye_x + 0.075, eye_y + 0.065), INK)
    _draw_mouth(face, pen, x, y + 0.16)
    return pen.image


def _draw_mouth(face: Face, pen: _Pen, x: float, y: float) -> None:
    half = face.mouth_width
    if face.open_mouth:
        pen.ellipse((x - half * 0.6, y - 0.03, x + half * 0.6, y + 0.05), (150, 40, 50))
        return
    steps = np.linspace(-1, 1, 13)
    pen.curve([(x + half * t, y + face.smile * (1 - t * t)) for t in steps.tolist()], (150, 40, 50))


def _flat(face: Face) -> Image.Image:
    return _draw_face(face, _Pen((255, 255, 255), outline=None, filled=True))


def _line(face: Face) -> Image.Image:
    return _draw_face(face, _Pen((250, 246, 236), outline=INK, filled=False))


def _neon(face: Face) -> Image.Image:
    tubes = _draw_face(face, _Pen((8, 6, 20), outline=face.glow, filled=False))
    glow = np.asarray(tubes.filter(ImageFilter.GaussianBlur(7)), dtype=np.float32)
    lit = np.asarray(tubes, dtype=np.float32) + 0.9 * glow
    return Image.fromarray(lit.clip(0, 255).astype(np.uint8))


def _inverted(face: Face) -> Image.Image:
    return Image.fromarray(255 - np.asarray(_flat(face)))


STYLES: dict[str, Callable[[Face], Image.Image]] = {
    "flat": _flat,
    "line": _line,
    "neon": _neon,
    "inverted": _inverted,
}
