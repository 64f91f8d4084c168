"""Predicted time and memory of a stage, from running its phases once without changing anything."""

import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowshotgan.draws import Draws
from lowshotgan.train.machine import Machine
from lowshotgan.train.phases import arithmetic, only_trainable, split_batch, weighted_loss
from lowshotgan.types import Batch, Stage


@dataclass(frozen=True)
class Estimate:
    """What a stage will take.

    Attributes:
        seconds_per_step: every lazily run phase counted with its share.
        seconds: of all steps, with the scoring of snapshots; previews and the report are not counted.
        peak_bytes: highest memory use of the process (of the GPU, where one is used) so far.
    """

    seconds_per_step: float
    seconds: float
    peak_bytes: int

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds), 60)
        return f"about {minutes} min {seconds:02d} s, {self.peak_bytes / 2**20:,.0f} MiB of memory"


def estimate_stage(
    stage: Stage,
    machine: Machine,
    *,
    precision: str = "fp32",
    accumulate: int = 1,
    score: Callable[[], object] | None = None,
    scores: int = 0,
    repeats: int = 2,
) -> Estimate:
    """Time each phase forward and backward; networks, buffers, data position and controllers are left as they were.

    Args:
        stage: about to be trained.
        machine: where.
        precision: "fp32" or "bf16", as the stage will be trained.
        accumulate: micro-batches per step; one of them is run, so that no more memory is used than later.
        score: run once to time it: what scoring a snapshot does, without keeping the score.
        scores: how often that will be done.
        repeats: runs of each phase; the fastest counts, the first also warms up.
    """
    before = _snapshot(stage)
    batches = stage.batches.state_dict()
    with machine.laid_out_networks(stage):
        per_step = accumulate * _seconds_per_step(stage, machine, precision, accumulate, repeats)
    stage.batches.load_state_dict(batches)
    _restore(stage, before)
    began = time.perf_counter()
    if score is not None:
        score()
    scoring = scores * (time.perf_counter() - began)
    return Estimate(per_step, per_step * stage.steps + scoring, peak_memory(machine.device))


def _seconds_per_step(stage: Stage, machine: Machine, precision: str, accumulate: int, repeats: int) -> float:
    """Seconds for one micro-batch."""
    images = split_batch(machine.laid_out(next(stage.batches)), accumulate)[0]
    draws = Draws(0, device=machine.device, rank=machine.rank, world_size=machine.world_size)
    per_step = 0.0
    for phase in stage.phases:
        fastest = float("inf")
        for _ in range(repeats):
            began = time.perf_counter()
            with only_trainable(stage, phase.updates):
                with arithmetic(phase, precision, machine.device):
                    terms = phase.terms(Batch(images, draws, phase.start, 0.0))
                loss, _ = weighted_loss(phase, terms, 0.0)
                if loss.requires_grad:
                    loss.backward()
            float(loss.detach())
            fastest = min(fastest, time.perf_counter() - began)
        steps = (stage.steps if phase.stop is None else min(phase.stop, stage.steps)) - phase.start
        per_step += fastest / phase.every * max(steps, 0) / stage.steps
    return per_step


def peak_memory(device: torch.device) -> int:
    """Highest memory use in bytes so far: of the GPU where one is used, else of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows has no such module
        import psutil  # a dependency of accelerate

        memory = psutil.Process().memory_info()
        return int(getattr(memory, "peak_wset", memory.rss))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _snapshot(stage: Stage) -> dict[str, Any]:
    buffers = {name: _buffers(module) for name, module in stage.modules.items()}
    return {"buffers": buffers, "state": {name: copy.deepcopy(s.state_dict()) for name, s in stage.state.items()}}


def _restore(stage: Stage, before: dict[str, Any]) -> None:
    for name, buffers in before["buffers"].items():
        for buffer, value in zip(stage.modules[name].buffers(), buffers, strict=True):
            buffer.copy_(value)
    for name, state in before["state"].items():
        stage.state[name].load_state_dict(state)
    for group in stage.groups.values():
        for parameter in group.params:
            parameter.grad = None


def _buffers(module: nn.Module) -> list[Tensor]:
    return [buffer.detach().clone() for buffer in module.buffers()]
