"""Walks through latents: equal steps from stop to stop, straight or along great circles."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lowshotgan.checks import parse_seeds, whole
from lowshotgan.errors import ConfigError

Blend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From starts ``(N, D)``, ends ``(N, D)`` and shares ``(N, 1)`` in [0, 1] to the points between."""


def parse_stops(seeds: int | str | Sequence[int]) -> list[int]:
    """The seeds a walk leads through.

    Raises:
        ConfigError: for fewer than two.
    """
    stops = parse_seeds(seeds)
    if len(stops) < 2:
        raise ConfigError(f"interpolate needs at least two seeds, got {stops}; for example seeds='0-3'.")
    return stops


def walk(stops: Tensor, *, frames: int, loop: bool, blend: Blend = torch.lerp) -> Tensor:
    """``(frames, D)`` points on the way through ``stops (S, D)``, S >= 2.

    Args:
        stops: where the walk leads through, in order.
        frames: points in all.
        loop: return to the first stop at the end, so that an animation repeats without a jump.
        blend: how two neighbours are mixed.

    Raises:
        ConfigError: if ``frames`` is not positive.
    """
    count = whole("frames", frames)
    path = torch.cat([stops, stops[:1]]) if loop else stops
    places = torch.arange(count, device=stops.device) * ((len(path) - 1) / max(count if loop else count - 1, 1))
    left = places.floor().long().clamp(max=len(path) - 2)
    return blend(path[left], path[left + 1], (places - left)[:, None])


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation between latents ``(N, D)``; ``share (N, 1)`` from 0 to 1."""
    cosine = torch.cosine_similarity(start, end, dim=1)[:, None].clamp(-0.9995, 0.9995)
    angle = cosine.acos()
    return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / angle.sin()
