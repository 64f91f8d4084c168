"""Known appearance maps: the same picture as a line drawing, in neon, or in other colours, computed from its pixels.

They make pairs of any images, and since the map is known, so is the right answer for every image a generator draws.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.data.images import from_uint8, to_uint8
from lowshotgan.data.pairs import edge_map
from lowshotgan.errors import ConfigError

PAPER = (0.96, 0.92, 0.85)
INK = (0.09, 0.09, 0.11)
GROUND = (0.05, 0.42, 0.45)
PRINT = (1.0, 0.72, 0.25)
NIGHT = (0.03, 0.02, 0.08)
GLOW = (1.0, 0.25, 0.75)
SLOPE = 12.0
"""How fast a step in brightness becomes a full line."""


def apply_appearance(images: Tensor, style: str) -> Tensor:
    """Give images another appearance and keep what they show.

    Args:
        images: ``(B, 3, H, W)`` uint8.
        style: "line" (ink on paper where the brightness steps), "neon" (the same lines, glowing on a dark ground),
            "duotone" (brightness from teal to orange) or "recolour" (hues turned by a third of the circle and colours
            inverted in brightness).

    Returns:
        ``(B, 3, H, W)`` uint8; an image depends on its own pixels alone.

    Raises:
        ConfigError: for another style, or images of another kind.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ConfigError(f"images must be (B, 3, H, W), got {tuple(images.shape)}.")
    draw = STYLES[one_of("style", style, STYLES)]
    return to_uint8(draw(from_uint8(images)) * 2 - 1)


def _lines(images: Tensor) -> Tensor:
    """``(B, 1, H, W)`` in [0, 1]: 1 on edges of any channel."""
    channels = [edge_map(images[:, n : n + 1].expand(-1, 3, -1, -1)) for n in range(3)]
    return (SLOPE * (torch.cat(channels, dim=1).amax(dim=1, keepdim=True) - 0.05)).clamp(0, 1)


def _line(images: Tensor) -> Tensor:
    return torch.lerp(_colour(PAPER, images), _colour(INK, images), _lines(images))


def _neon(images: Tensor) -> Tensor:
    lines = _lines(images)
    side = max(3, images.shape[-1] // 16 * 2 + 1)
    halo = F.avg_pool2d(F.pad(lines, [side // 2] * 4, mode="replicate"), side, 1)
    light = (lines + 0.8 * halo).clamp(0, 1)
    return torch.lerp(_colour(NIGHT, images), _colour(GLOW, images), light)


def _duotone(images: Tensor) -> Tensor:
    brightness = (images.mean(dim=1, keepdim=True) + 1) / 2
    return torch.lerp(_colour(GROUND, images), _colour(PRINT, images), brightness)


def _recolour(images: Tensor) -> Tensor:
    return (1 - images[:, [1, 2, 0]]) / 2


def _colour(colour: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(colour, device=like.device)[None, :, None, None].expand_as(like)


STYLES: dict[str, Callable[[Tensor], Tensor]] = {
    "line": _line,
    "neon": _neon,
    "duotone": _duotone,
    "recolour": _recolour,
}
