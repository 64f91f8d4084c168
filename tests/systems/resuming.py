"""A training that was killed and goes on must end exactly where one that was not killed ends."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine

SETTINGS = LoopSettings(precision="fp32", checkpoint_steps=1)


class Cut(Exception):
    """Stands for a killed process."""


def whole_and_cut(build: Callable[[], tuple[Any, Any]], folder: Path, *cuts: tuple[str, int]) -> tuple[Any, Any]:
    """Two trained models: of one run, and of one that is killed at each ``(stage, step)`` and goes on.

    ``build()`` gives a new model and the stages of its training, the same every time.
    """
    whole = _run(build, folder / "whole")
    for cut in cuts:
        with pytest.raises(Cut):
            _run(build, folder / "cut", cut)
    return whole, _run(build, folder / "cut")


def same_tensors(modules: Sequence[nn.Module], others: Sequence[nn.Module]) -> bool:
    """Whether the modules hold the same values, bit for bit."""
    return all(
        torch.equal(value, other.state_dict()[name])
        for module, other in zip(modules, others, strict=True)
        for name, value in module.state_dict().items()
    )


def _run(build: Callable[[], tuple[Any, Any]], folder: Path, cut: tuple[str, int] | None = None) -> Any:
    def kill(moment: Any) -> None:
        if (moment.stage.name, moment.step) == cut:
            raise Cut

    model, stages = build()
    fit(stages, output_dir=folder, machine=Machine("cpu"), settings=SETTINGS, hooks=[kill])
    return model
