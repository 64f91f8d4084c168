"""Colours as a user writes them, and how far two of them are apart."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowshotgan.errors import ConfigError

WHITE_D65 = (0.95047, 1.0, 1.08883)
SRGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))


def parse_colour(colour: Any) -> tuple[float, float, float]:
    """``"#3b7dd8"``, ``"#37d"``, ``"59,125,216"`` or three channels as three numbers in [0, 1].

    Channels are floats in [0, 1] or whole numbers from 0 to 255, as text, in a list, a tensor or an array.

    Raises:
        ConfigError: for anything else, a mix of both kinds included.
    """
    if isinstance(colour, str) and "," in colour:
        return parse_colour(_channels(colour))
    if isinstance(colour, str):
        digits = colour.strip().removeprefix("#")
        if not re.fullmatch(r"[0-9a-fA-F]{3}|[0-9a-fA-F]{6}", digits):
            raise ConfigError(f"color must look like '#3b7dd8' or 59,125,216, got {colour!r}.")
        digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
        red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
        return red, green, blue
    values = colour.tolist() if isinstance(colour, Tensor | np.ndarray) else colour
    if isinstance(values, Sequence):
        values = [value.item() if isinstance(value, np.generic | Tensor) else value for value in values]
    if not isinstance(values, Sequence) or len(values) != 3 or any(isinstance(v, bool) for v in values):
        raise ConfigError(f"color must be '#rrggbb' or three channels, got {colour!r}.")
    if all(isinstance(v, int) for v in values):
        if not all(0 <= v <= 255 for v in values):
            raise ConfigError(f"color channels that are whole numbers must be from 0 to 255, got {colour!r}.")
        return values[0] / 255, values[1] / 255, values[2] / 255
    if not all(isinstance(v, float) for v in values):
        raise ConfigError(
            f"color mixes whole numbers and floats: {colour!r}; write (0.2, 0.5, 1.0) or (51, 128, 255)."
        )
    if not all(0.0 <= v <= 1.0 for v in values):
        raise ConfigError(f"color channels that are floats must be in [0, 1], got {colour!r}.")
    return values[0], values[1], values[2]


def _channels(text: str) -> list[int | float]:
    parts = [part.strip() for part in text.split(",")]
    try:
        return [int(part) if part.isdigit() else float(part) for part in parts]
    except ValueError:
        raise ConfigError(f"color must look like '#3b7dd8' or 59,125,216, got {text!r}.") from None


def to_lab(colours: Tensor) -> Tensor:
    """``(..., 3)`` sRGB colours in [0, 1] as CIE L*a*b* under D65."""
    linear = torch.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055).clamp(min=0) ** 2.4)
    matrix = torch.tensor(SRGB_TO_XYZ)
    xyz = linear @ matrix.T.to(colours) / torch.tensor(WHITE_D65).to(colours)
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-12) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return torch.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], dim=-1)


def from_lab(lab: Tensor) -> Tensor:
    """``(..., 3)`` CIE L*a*b* colours under D65 as sRGB in [0, 1]; what no screen shows is clamped."""
    y = (lab[..., 0] + 16) / 116
    f = torch.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], dim=-1)
    xyz = torch.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * torch.tensor(WHITE_D65).to(lab)
    matrix = torch.linalg.inv(torch.tensor(SRGB_TO_XYZ, dtype=torch.float64)).to(lab)
    linear = (xyz @ matrix.T).clamp(0, 1)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=1e-8) ** (1 / 2.4) - 0.055)


def ciede2000(first: Tensor, second: Tensor) -> Tensor:
    """``(...)`` CIEDE2000 differences of ``(..., 3)`` L*a*b* colours (Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = first.double().unbind(-1), second.double().unbind(-1)
    mean_chroma7 = ((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * (mean_chroma7 / (mean_chroma7 + 25.0**7)).sqrt()
    c1, c2 = torch.hypot(stretch * a1, b1), torch.hypot(stretch * a2, b2)
    h1 = torch.rad2deg(torch.atan2(b1, stretch * a1)) % 360
    h2 = torch.rad2deg(torch.atan2(b2, stretch * a2)) % 360
    coloured = c1 * c2 > 0
    turn = (h2 - h1 + 180) % 360 - 180
    turn = torch.where((h2 - h1 == 180), torch.full_like(turn, 180.0), turn)
    d_hue = 2 * (c1 * c2).sqrt() * torch.sin(torch.deg2rad(torch.where(coloured, turn, torch.zeros_like(turn)) / 2))
    total = h1 + h2
    mean_hue = torch.where((h1 - h2).abs() <= 180, total / 2, (total + torch.where(total < 360, 360.0, -360.0)) / 2)
    mean_hue = torch.where(coloured, mean_hue, total)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * _cos(mean_hue - 30)
        + 0.24 * _cos(2 * mean_hue)
        + 0.32 * _cos(3 * mean_hue + 6)
        - 0.20 * _cos(4 * mean_hue - 63)
    )
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / (20 + (lightness - 50) ** 2).sqrt()
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rotation = -torch.sin(torch.deg2rad(60 * torch.exp(-(((mean_hue - 275) / 25) ** 2))))
    rotation = rotation * 2 * (chroma**7 / (chroma**7 + 25.0**7)).sqrt()
    d_l, d_c, d_h = (l2 - l1) / s_l, (c2 - c1) / s_c, d_hue / s_h
    return (d_l**2 + d_c**2 + d_h**2 + rotation * d_c * d_h).clamp(min=0).sqrt()


def _cos(degrees: Tensor) -> Tensor:
    return torch.cos(torch.deg2rad(degrees))
