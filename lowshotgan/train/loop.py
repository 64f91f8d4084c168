"""The one training loop: runs stages, and is the only file that steps an optimiser.

A stage says what is updated from which loss terms (``types.Stage``, ``types.Phase``); this file adds what every
training needs: gradient sanity, accumulation, averages, several processes, precision, checkpoints, a budget and a
clean stop. It knows no system and no method.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from lowshotgan.checks import one_of, positive, whole
from lowshotgan.draws import Draws
from lowshotgan.errors import CheckpointError, ConfigError, DivergenceError
from lowshotgan.processes import mean_over_processes
from lowshotgan.train.checkpoint import check_resumable, load_checkpoint, marks, read_checkpoint, save_checkpoint
from lowshotgan.train.ema import update_average
from lowshotgan.train.machine import Machine
from lowshotgan.train.optimizers import make_optimizer, set_rate
from lowshotgan.train.phases import arithmetic, is_due, only_trainable, split_batch, weighted_loss
from lowshotgan.train.precision import settle_precision
from lowshotgan.types import Batch, Phase, Stage, Stateful

MAX_NONFINITE_STEPS = 50
MAX_SEED = 2**43 - 1
"""Streams of random numbers start at about a million times the seed, which has to fit 64 bits."""
Stopped = Literal["finished", "budget", "interrupted"]


@dataclass(frozen=True)
class LoopSettings:
    """How to run stages, whatever they train.

    Attributes:
        seed: start of every random stream.
        precision: "auto" (measured once; a resumed run keeps it), "fp32" or "bf16".
        accumulate: micro-batches per step; gradients are averaged over them.
        budget: seconds of training over all resumptions, or ``None`` for no limit.
        checkpoint_seconds: wall-clock time between checkpoints.
        checkpoint_steps: also write one after every so many steps.
        resume: "auto" continues a checkpoint if there is one, "never" starts again, "must" insists on one.
        config: what the run depends on, as plain values; a checkpoint made with another one is refused.
    """

    seed: int = 0
    precision: str = "auto"
    accumulate: int = 1
    budget: float | None = None
    checkpoint_seconds: float = 120.0
    checkpoint_steps: int | None = None
    resume: str = "auto"
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of("resume", self.resume, ("auto", "never", "must"))
        one_of("precision", self.precision, ("auto", "fp32", "bf16"))
        object.__setattr__(self, "accumulate", whole("accumulate", self.accumulate))
        object.__setattr__(self, "seed", whole("seed", self.seed, 0))
        if self.seed > MAX_SEED:
            raise ConfigError(f"seed must be at most {MAX_SEED:,}, got {self.seed}.")
        if self.budget is not None:
            positive("budget", self.budget)


@dataclass
class Moment:
    """The state a hook sees after a step.

    Attributes:
        stage: the running stage.
        step: steps done in it.
        seconds: training time so far, over all resumptions.
        progress: share of the stage done, in [0, 1].
        values: mean of each logged loss term in this step, over all processes.
        last: whether this is the last step of the stage.
    """

    stage: Stage
    step: int
    seconds: float
    progress: float
    values: dict[str, float]
    last: bool = False


class Hook(Protocol):
    """Something done after each step, in the main process only; it must not change what is trained.

    A hook that is also ``Stateful`` and has a ``name`` is carried in checkpoints.
    """

    def __call__(self, moment: Moment) -> None: ...


@dataclass(frozen=True)
class FitResult:
    """How a training ended.

    Attributes:
        stopped: "finished" (all steps done), "budget" or "interrupted" (a checkpoint was written).
        steps: steps done in the last stage.
        seconds: training time over all resumptions.
        nonfinite: gradient values that were NaN or infinite and were replaced.
        share_outside: share of the time spent outside loss terms, backward passes and optimiser steps.
        precision: the arithmetic of the networks, "fp32" or "bf16".
    """

    stopped: Stopped
    steps: int
    seconds: float
    nonfinite: int
    share_outside: float
    precision: str


def fit(
    stages: Iterable[Stage],
    *,
    output_dir: Path,
    machine: Machine,
    settings: LoopSettings,
    hooks: Sequence[Hook] = (),
    begin: Callable[[], None] | None = None,
) -> FitResult:
    """Run ``stages`` in order, with checkpoints under ``output_dir/checkpoints``.

    ``begin`` is called in the main process before anything is written, once no checkpoint forbids the run.

    Raises:
        CheckpointError: if a checkpoint cannot be read, belongs to another configuration, or is missing with
            ``resume="must"``.
        DivergenceError: if gradients stay non-finite.
    """
    folder = output_dir / "checkpoints"
    saved = None if settings.resume == "never" else load_checkpoint(folder)
    check_resumable(saved, settings.config, folder, resume=settings.resume)
    if begin is not None and machine.is_main:
        begin()
    precision = settle_precision(settings.precision, machine, saved)
    clock = _Clock(saved["seconds"] if saved else 0.0)
    result = FitResult("finished", 0, clock.seconds, 0, 0.0, precision)
    with _graceful_stop() as stop_requested:
        for index, stage in enumerate(stages):
            run = _StageRun(stage, index, folder, machine, settings, precision, hooks, clock)
            if saved and index < saved["stage_index"]:
                run.restore(read_checkpoint(folder / f"stage-{index}.pt"))
                continue
            if saved and index == saved["stage_index"]:
                run.restore(saved)
                saved = None
            with machine.laid_out_networks(stage):
                result = run.train(stop_requested)
            if result.stopped != "finished":
                break
    return result


class _StageRun:
    """One stage with its optimisers, draws and counters."""

    def __init__(
        self,
        stage: Stage,
        index: int,
        folder: Path,
        machine: Machine,
        settings: LoopSettings,
        precision: str,
        hooks: Sequence[Hook],
        clock: "_Clock",
    ) -> None:
        self.stage, self.index, self.folder, self.machine = stage, index, folder, machine
        self.settings, self.precision, self.hooks, self.clock = settings, precision, hooks, clock
        self.optimizers = {name: make_optimizer(group) for name, group in stage.groups.items()}
        seed = settings.seed * 1_000_003 + index
        self.draws = Draws(seed, device=machine.device, rank=machine.rank, world_size=machine.world_size)
        self.step = 0
        self.nonfinite = 0
        self.nonfinite_steps: dict[str, int] = {}
        self.busy = 0.0
        self.progress = 0.0
        _check_stage(stage)

    def train(self, stop_requested: Callable[[], bool]) -> FitResult:
        saved_at = began = time.perf_counter()
        self._measure_progress()
        stopped = self._must_stop(False)  # if earlier runs spent the budget
        nothing_done = stopped == "budget"
        while stopped == "finished" and self.step < self.stage.steps:
            values = self._one_step()
            self.clock.tick()
            self._measure_progress()
            stopped = self._must_stop(stop_requested())
            self._call_hooks(values, last=stopped != "finished" or self.step == self.stage.steps)
            due = time.perf_counter() - saved_at >= self.settings.checkpoint_seconds
            every = self.settings.checkpoint_steps
            if stopped == "finished" and (due or (every and self.step % every == 0)):
                self.save()
                saved_at = time.perf_counter()
        if not nothing_done:
            self.save()
        if stopped == "finished":
            self.save(f"stage-{self.index}.pt")
        elapsed = max(time.perf_counter() - began, 1e-9)
        outside = max(0.0, 1.0 - self.busy / elapsed) if self.busy else 0.0
        return FitResult(stopped, self.step, self.clock.seconds, self.nonfinite, outside, self.precision)

    def _one_step(self) -> dict[str, float]:
        images = self.machine.laid_out(next(self.stage.batches))
        logged: dict[str, Tensor] = {}
        began = time.perf_counter()
        for phase in self.stage.phases:
            if is_due(phase, self.step):
                logged |= self._run(phase, images)
        values = self._means(logged)
        self.busy += time.perf_counter() - began
        half_life = self.stage.ema_half_life if self.step >= self.stage.ema_start else 0.0
        for live, averaged in self.stage.averages.values():
            update_average(live, averaged, step=self.step, half_life=half_life, rampup=self.stage.ema_rampup)
        for callback in self.stage.on_step:
            callback(self.step, values)
        self.step += 1
        return values

    def _means(self, logged: dict[str, Tensor]) -> dict[str, float]:
        """The logged values, averaged over all processes."""
        if not logged:
            return {}
        values = mean_over_processes(torch.stack(list(logged.values())))
        return dict(zip(logged, values.tolist(), strict=True))

    def _run(self, phase: Phase, images: Any) -> dict[str, Tensor]:
        optimizer = self.optimizers[phase.updates]
        logged: dict[str, Tensor] = {}
        with only_trainable(self.stage, phase.updates):
            optimizer.zero_grad(set_to_none=True)
            for part in split_batch(images, self.settings.accumulate):
                batch = Batch(part, self.draws, self.step, self.progress)
                with arithmetic(phase, self.precision, self.machine.device):
                    terms = phase.terms(batch)
                loss, values = weighted_loss(phase, terms, self.progress)
                self.machine.backward(loss * (phase.every / self.settings.accumulate))
                for name, value in values.items():
                    logged[name] = logged.get(name, torch.zeros_like(value)) + value / self.settings.accumulate
            gradients = [p.grad for p in self.stage.groups[phase.updates].params if p.grad is not None]
            self.machine.average(gradients)
            self._keep_sane(gradients, phase.name)
            if phase.mask_gradients is not None:
                phase.mask_gradients()
            set_rate(optimizer, self.stage.groups[phase.updates], self.progress, self.step)
            optimizer.step()
        return logged

    def _keep_sane(self, gradients: list[Tensor], phase: str) -> None:
        """Zero NaN gradients and clamp infinite ones, as StyleGAN2-ADA does, and count them."""
        if not gradients or bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients))):
            self.nonfinite_steps[phase] = 0
            return
        for gradient in gradients:
            self.nonfinite += int((~torch.isfinite(gradient)).sum())
            torch.nan_to_num_(gradient, nan=0.0, posinf=1e5, neginf=-1e5)
        self.nonfinite_steps[phase] = times = self.nonfinite_steps.get(phase, 0) + 1
        if times >= MAX_NONFINITE_STEPS:
            raise DivergenceError(
                f"Gradients of {phase!r} were NaN or infinite {times} times in a row (stage {self.stage.name!r}, "
                f"step {self.step}). Lower the learning rate or use precision='fp32', then resume from the last "
                "checkpoint."
            )

    def _must_stop(self, requested: bool) -> Stopped:
        out_of_time = self.settings.budget is not None and self.clock.seconds >= self.settings.budget
        signals = self.machine.any_of([requested, out_of_time])
        if signals[0]:
            return "interrupted"
        return "budget" if signals[1] and self.step < self.stage.steps else "finished"

    def _call_hooks(self, values: dict[str, float], *, last: bool) -> None:
        if not self.machine.is_main:
            return
        moment = Moment(self.stage, self.step, self.clock.seconds, self.progress, values, last)
        for hook in self.hooks:
            hook(moment)

    def _measure_progress(self) -> None:
        """Share of the stage done, by steps or by the main process's budget, whichever is further."""
        share = self.step / max(self.stage.steps, 1)
        if self.settings.budget is not None:
            share = max(share, self.machine.from_main(self.clock.seconds) / self.settings.budget)
        self.progress = min(share, 1.0)

    def save(self, name: str = "latest.pt") -> None:
        if self.machine.is_main:
            save_checkpoint(self.folder, self.state(), name=name)
        self.machine.wait()

    def state(self) -> dict[str, Any]:
        stage = self.stage
        return {
            **marks(self.settings.config),
            "stage": stage.name,
            "stage_index": self.index,
            "step": self.step,
            "seconds": self.clock.seconds,
            "nonfinite": self.nonfinite,
            "precision": self.precision,
            "device": self.machine.device.type,
            "modules": {name: module.state_dict() for name, module in stage.modules.items()},
            "averages": {name: averaged.state_dict() for name, (_, averaged) in stage.averages.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "state": {name: part.state_dict() for name, part in stage.state.items()},
            "batches": stage.batches.state_dict(),
            "draws": self.draws.state_dict(),
            "hooks": {name: hook.state_dict() for name, hook in _stateful(self.hooks).items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        stage = self.stage
        if state["stage"] != stage.name:
            raise CheckpointError(f"The checkpoint is of stage {state['stage']!r}, this run is at {stage.name!r}.")
        averages: dict[str, nn.Module] = {name: averaged for name, (_, averaged) in stage.averages.items()}
        _load_all("networks", stage.modules, state["modules"])
        _load_all("averages", averages, state["averages"])
        _load_all("optimisers", self.optimizers, state["optimizers"])
        _load_all("parts", stage.state, state["state"])
        _load_all("hooks", _stateful(self.hooks), state["hooks"] if self.machine.is_main else {})
        stage.batches.load_state_dict(state["batches"])
        self.draws.load_state_dict(state["draws"])
        self.step, self.nonfinite = state["step"], state["nonfinite"]


@dataclass
class _Clock:
    """Training time, carried over resumptions."""

    seconds: float
    _last: float = field(default_factory=time.perf_counter)

    def tick(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._last
        self._last = now


@contextmanager
def _graceful_stop() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop after the step; a second one stops at once."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested.is_set
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _check_stage(stage: Stage) -> None:
    unknown = [phase.name for phase in stage.phases if phase.updates not in stage.groups]
    if unknown:
        raise ConfigError(f"Stage {stage.name!r}: phases {unknown} update groups that do not exist.")


def _load_all(what: str, targets: Mapping[str, Any], states: Mapping[str, Any]) -> None:
    if set(states) - set(targets) or (set(targets) - set(states) and states):
        raise CheckpointError(f"The checkpoint's {what} {sorted(states)} are not this run's {sorted(targets)}.")
    for name, state in states.items():
        targets[name].load_state_dict(state)


def _stateful(hooks: Sequence[Hook]) -> dict[str, Stateful]:
    return {hook.name: hook for hook in hooks if isinstance(hook, Stateful) and hasattr(hook, "name")}
