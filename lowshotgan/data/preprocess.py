"""From a PIL image of any mode and size to an RGB tensor: composite, crop or pad, resize with Lanczos.

any mode -> RGB (alpha placed on a background) -> square box, or one of another shape -> (3, R, R) uint8
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.errors import ConfigError, ImageInputError

FITS = ("crop", "pad")
LARGEST_RESOLUTION = 4096
WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Modes with more than 8 bits per value."""
ORIENTATION_TAG = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its EXIF orientation (EXIF 2.32, section 4.6.4)."""


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes a ``(C, R, R)`` uint8 tensor.

    Attributes:
        resolution: R, side of the result in pixels, from 1 to 4096.
        fit: ``"crop"`` keeps the largest centred square; ``"pad"`` keeps all, filled up with ``background``.
        background: RGB colour, 0 to 255, behind transparency and around padded images.
        enlarge: whether an image smaller than R is scaled up; if not, it is centred on ``background``.
        width: of the result in pixels where it is not square; R is its height then.
        channels: C, 3 for RGB or 1 for its luminance (ITU-R BT.601).
    """

    resolution: int
    fit: str = "crop"
    background: tuple[int, int, int] = (255, 255, 255)
    enlarge: bool = True
    width: int | None = None
    channels: int = 3

    def __post_init__(self) -> None:
        for name, size in (("resolution", self.resolution), ("width", self.width)):
            if name == "width" and size is None:
                continue
            if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_RESOLUTION:
                raise ConfigError(f"{name} must be a whole number from 1 to {LARGEST_RESOLUTION}, got {size!r}.")
        one_of("fit", self.fit, FITS)
        if self.channels not in (1, 3):
            raise ConfigError(f"channels must be 1 or 3, got {self.channels!r}.")
        object.__setattr__(self, "background", _as_colour(self.background))

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of the result in pixels."""
        return self.width or self.resolution, self.resolution

    def __call__(self, image: Image.Image) -> Tensor:
        """Prepare one image; the first frame counts and EXIF rotation is applied.

        Returns:
            ``(C, R, R)`` uint8 on the CPU. An RGB image that is R x R already keeps its exact values.

        Raises:
            ImageInputError: for an image without pixels or with NaN or infinite values.
        """
        fitted = self.fitted(to_rgb(upright(image)[0], background=self.background))
        if self.channels == 1:
            return torch.from_numpy(np.array(fitted.convert("L")))[None]
        return torch.from_numpy(np.array(fitted)).permute(2, 0, 1).contiguous()

    def fitted(self, image: Image.Image) -> Image.Image:
        """Crop or pad an RGB image to the shape of the result, resized with antialiased Lanczos."""
        left, top, right, bottom = self.box(image.size)
        scales = [ours / theirs for ours, theirs in zip(self.shape, image.size, strict=True)]
        scale = (max if self.fit == "crop" else min)(scales)
        scale = scale if self.enlarge else min(scale, 1.0)
        kept = (right - left, bottom - top)
        width, height = (min(most, max(1, round(side * scale))) for side, most in zip(kept, self.shape, strict=True))
        if (width, height) != image.size:
            image = image.resize((width, height), Image.Resampling.LANCZOS, box=(left, top, right, bottom))
        if image.size == self.shape:
            return image
        canvas = Image.new("RGB", self.shape, self.background)
        canvas.paste(image, ((self.shape[0] - width) // 2, (self.shape[1] - height) // 2))
        return canvas

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The part of an image of ``size`` (width, height) that is kept: left, top, right, bottom."""
        width, height = size
        if self.fit == "pad":
            return 0, 0, width, height
        across, down = self.shape
        kept_width, kept_height = min(width, height * across // down), min(height, width * down // across)
        left, top = (width - kept_width) // 2, (height - kept_height) // 2
        return left, top, left + kept_width, top + kept_height

    def to_dict(self) -> dict[str, object]:
        """Plain values for a configuration file; ``Preprocess(**values)`` gives the same object back."""
        values = asdict(self) | {"background": list(self.background)}
        usual = {"width": None, "channels": 3}
        return {key: value for key, value in values.items() if key not in usual or value != usual[key]}


def upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """Turn an image as its EXIF says; also returns whether that changed it. Damaged EXIF is ignored."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # Pillow raises SyntaxError, struct.error ... for damaged EXIF; the pixels are good
        orientation = 1
    if orientation not in TURNS:
        return image, False
    turned = image.transpose(TURNS[orientation])
    for key in ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"):
        turned.info.pop(key, None)  # so that it is not turned twice
    return turned, True


def to_rgb(image: Image.Image, *, background: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """Convert any PIL mode to RGB: wide values are scaled to 8 bits, transparency goes on ``background``.

    Raises:
        ImageInputError: for an image without pixels or with NaN or infinite values.
    """
    if 0 in image.size:
        raise ImageInputError(f"the image has no pixels (size {image.size}); remove it or save it again.")
    if image.mode in WIDE_MODES:
        image = _to_eight_bits(image)
    if image.mode == "La":  # premultiplied grey: PIL only converts it back to plain grey with alpha
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    below = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(below, with_alpha).convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale to 0..255: 16-bit modes by their full range, 32-bit and float ones by the range they need."""
    values: np.ndarray[Any, np.dtype[Any]]
    sixteen = image.mode.startswith("I;16")
    values = np.asarray(image).astype(np.float32 if sixteen else np.float64)
    if not np.isfinite(values).all():
        raise ImageInputError("the image holds NaN or infinite values; replace them and save it again.")
    low, high = float(values.min()), float(values.max())
    if sixteen:
        low, high = 0.0, 65535.0
    elif low >= 0:
        low = 0.0
        limits = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        high = next((limit for limit in limits if high <= limit), high)
    scaled = (values - low) * 255.0 / max(high - low, 1e-12)
    return Image.fromarray((scaled + 0.5).clip(0, 255).astype(np.uint8))


def _as_colour(colour: object) -> tuple[int, int, int]:
    values = tuple(colour) if isinstance(colour, list | tuple) else ()
    if len(values) != 3 or any(isinstance(v, bool) or not isinstance(v, int) or not 0 <= v <= 255 for v in values):
        raise ConfigError(f"background must be three whole numbers from 0 to 255, got {colour!r}.")
    return values
