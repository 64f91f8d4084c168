"""Nouns that several layers share: what a training stage is, and what ``generate`` returns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from lowshotgan.draws import Draws

Weight = float | Callable[[float], float]
"""A loss weight, or a function of training progress in [0, 1]."""


@dataclass(frozen=True)
class Batch:
    """What a phase sees of one step.

    Attributes:
        images: ``(B, 3, H, W)`` in [-1, 1], this process's share; other systems put a mapping of tensors here.
        draws: the stream every random number of the step comes from.
        step: index of the step, from 0.
        progress: share of the stage that is done, in [0, 1].
    """

    images: Any
    draws: Draws
    step: int
    progress: float


@dataclass(frozen=True)
class ParamGroup:
    """Parameters one optimiser steps, with its settings.

    ``lazy_every`` above 0 means a penalty is run only every n-th step in its own optimiser step, so the learning
    rate and betas are scaled by n / (n + 1) (Karras et al. 2020, appendix B). Over the last share ``decay`` of the stage
    the learning rate falls linearly to nothing; ``rate`` multiplies it by any other function of progress, and over the
    first ``warm_up`` steps it rises linearly. ``optimizer`` is "adam" or "rmsprop" (smoothing ``alpha``, no momentum);
    ``weight_decay`` is added to the gradient. ``other_betas`` names those of ``params`` whose Adam has betas of its own.
    """

    params: Sequence[nn.Parameter]
    lr: float = 2e-3
    betas: tuple[float, float] = (0.0, 0.99)
    eps: float = 1e-8
    lazy_every: int = 0
    decay: float = 0.0
    optimizer: str = "adam"
    alpha: float = 0.99
    weight_decay: float = 0.0
    warm_up: int = 0
    rate: Weight = 1.0
    other_betas: Sequence[tuple[Sequence[nn.Parameter], tuple[float, float]]] = ()


@dataclass(frozen=True)
class Phase:
    """One optimiser step on one parameter group from named loss terms.

    Attributes:
        name: as written in the log, for example ``discriminator_r1``.
        updates: the key in ``Stage.groups`` that this phase may change; all other parameters are held.
        terms: from a batch to named values of shape ``(B,)`` (or ``()``); the loop takes means and weights them.
        weights: multiplier of each term; a term without weight is logged only.
        every: run on each n-th step, its gradient scaled by n (lazy regularisation).
        start: first step on which it runs.
        stop: step from which it no longer runs; ``None`` for never.
        fp32: run the terms without autocast (gradient penalties).
        mask_gradients: called after the backward pass, before the optimiser, to hold part of a parameter.
    """

    name: str
    updates: str
    terms: Callable[[Batch], Mapping[str, Tensor]]
    weights: Mapping[str, Weight]
    every: int = 1
    start: int = 0
    stop: int | None = None
    fp32: bool = False
    mask_gradients: Callable[[], None] | None = None


@runtime_checkable
class Stateful(Protocol):
    """Anything a checkpoint has to carry besides modules: data position, augmentation strength, running means."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class TrainingData(Protocol):
    """What a system trains on: images, class folders, pairs, recordings."""

    def __len__(self) -> int: ...

    def describe(self) -> dict[str, Any]:
        """What identifies the data, as plain values: number, content digest, how it is prepared."""
        ...


class Batches(Stateful, Protocol):
    """Endless source of training batches whose position can be saved."""

    def __next__(self) -> Any: ...


@dataclass
class Stage:
    """One run of the training loop.

    Attributes:
        name: unique within the run.
        steps: number of steps.
        batches: endless, resumable source of ``Batch.images``.
        groups: parameters by name; each gets its own optimiser.
        phases: what is done in one step, in order.
        modules: every trained network, saved in checkpoints (buffers included).
        averages: name -> (live module, averaged copy); the loop keeps the copy as an exponential moving average.
        ema_half_life: in iterations.
        ema_rampup: if set, the half-life is at most this share of the steps done so far (training from scratch).
        ema_start: for so many steps the averages are plain copies.
        state: further things a checkpoint carries.
        on_step: called with the step index and the step's log after all phases (controllers, Fisher estimates);
            must depend on nothing but checkpointed state.
        preview: draws a fixed-seed grid for the run folder: ``(N, 3, H, W)`` in [-1, 1].
    """

    name: str
    steps: int
    batches: Batches
    groups: Mapping[str, ParamGroup]
    phases: Sequence[Phase]
    modules: Mapping[str, nn.Module]
    averages: Mapping[str, tuple[nn.Module, nn.Module]] = field(default_factory=dict)
    ema_half_life: float = 300.0
    ema_rampup: float | None = None
    ema_start: int = 0
    state: Mapping[str, Stateful] = field(default_factory=dict)
    on_step: Sequence[Callable[[int, dict[str, float]], None]] = ()
    preview: Callable[[], Tensor] | None = None


Stages = Iterator[Stage]
"""``System.stages()`` is a generator, so plain computation may stand between two stages."""

PathLike = str | Path
