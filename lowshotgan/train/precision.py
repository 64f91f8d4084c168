"""Which number format a machine trains fastest with: measured, not guessed."""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F

from lowshotgan.checks import one_of
from lowshotgan.train.machine import Machine

PRECISIONS = ("auto", "fp32", "bf16")


def choose_precision(wish: str, device: torch.device) -> torch.dtype:
    """The autocast type for ``wish`` ("auto", "fp32", "bf16") on ``device``.

    "auto" times one small convolution forward and backward in both formats and takes bfloat16 only where it is at
    least 1.2 times faster: a CPU without bfloat16 instructions can be ten times slower with it.
    """
    one_of("precision", wish, PRECISIONS)
    if wish == "auto":
        return torch.bfloat16 if _speedup(str(device)) >= 1.2 else torch.float32
    return torch.bfloat16 if wish == "bf16" else torch.float32


def settle_precision(wish: str, machine: Machine, saved: Mapping[str, Any] | None = None) -> str:
    """ "fp32" or "bf16": as asked, as the checkpoint was trained with, or as the main process measures."""
    if wish == "auto" and saved and saved.get("device") == machine.device.type:
        return str(saved["precision"])
    fast = machine.is_main and choose_precision(wish, machine.device) == torch.bfloat16
    return "bf16" if machine.from_main(float(fast)) else "fp32"


@cache
def _speedup(device: str) -> float:
    return _seconds(device, torch.float32) / _seconds(device, torch.bfloat16)


def _seconds(device: str, dtype: torch.dtype, *, repeats: int = 3) -> float:
    """Fastest of a few convolutions ``(8, 64, 32, 32)``, forward and backward, in seconds."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 64, 32, 32, generator=generator).to(device, dtype)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_(True)
    weight = torch.randn(64, 64, 3, 3, generator=generator).to(device, dtype).requires_grad_(True)
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        F.conv2d(x, weight, padding=1).float().sum().backward()
        if x.device.type != "cpu":  # others only queue the work
            torch.accelerator.synchronize(x.device)
        best = min(best, time.perf_counter() - start)
    return best
