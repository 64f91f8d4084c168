"""Exponential moving averages of networks."""

import torch
from torch import nn


@torch.no_grad()
def update_average(live: nn.Module, averaged: nn.Module, *, step: int, half_life: float, rampup: float | None) -> None:
    """Move ``averaged`` towards ``live``; after ``half_life`` steps half of the old value is left. Buffers are copied.

    Args:
        live: the trained network.
        averaged: its copy, same parameter order.
        step: steps done before this one.
        half_life: in steps.
        rampup: if set, the half-life is at most this share of the steps done.
    """
    if rampup is not None:
        half_life = min(half_life, max(step, 1) * rampup)
    towards = 1.0 - 0.5 ** (1.0 / max(half_life, 1e-8))
    for mean, value in zip(averaged.parameters(), live.parameters(), strict=True):
        mean.lerp_(value.to(mean.dtype), towards)
    for copy, buffer in zip(averaged.buffers(), live.buffers(), strict=True):
        copy.copy_(buffer)
