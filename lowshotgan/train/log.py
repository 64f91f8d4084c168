"""Hooks that tell how a training goes: JSONL log, TensorBoard, progress bar, preview pictures."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from lowshotgan.data.images import image_grid
from lowshotgan.errors import MissingExtraError
from lowshotgan.messages import tell
from lowshotgan.train.estimate import Estimate, peak_memory
from lowshotgan.train.loop import FitResult, Hook, Moment

LOG = "log.jsonl"


def standard_hooks(
    folder: Path, *, budget: float | None = None, progress: bool = True, tensorboard: bool = False
) -> list[Hook]:
    """What every run writes and shows: log, previews, and on request a progress bar and TensorBoard files."""
    hooks: list[Hook] = [JsonLog(folder), Previews(folder)]
    hooks += [TensorBoardLog(folder)] if tensorboard else []
    return hooks + ([ProgressBar(budget=budget)] if progress else [])


def tell_stop(done: FitResult, *, budget: float | None, folder: Path) -> None:
    """Say how to go on with a run that has not done all its steps."""
    if done.stopped == "interrupted":
        tell(f"Stopped at step {done.steps}; a checkpoint is in {folder}. Run the same command again to go on.")
    if done.stopped == "budget" and budget is not None:
        tell(
            f"The budget of {budget:.0f} s is spent at step {done.steps}. To go on, run the same command with a larger "
            "budget or none."
        )


class JsonLog:
    """Append a line of loss means to ``log.jsonl`` every few steps.

    After a resumption, lines of steps that will be repeated are dropped, so each step appears once.

    Args:
        folder: the run folder.
        every: steps between lines; each line holds the mean of each term since the last one.
    """

    name = "log"

    def __init__(self, folder: Path, *, every: int = 10) -> None:
        self.path = folder / LOG
        self.every = every
        self._sums: dict[str, tuple[float, int]] = {}
        self._resumed_at: tuple[str, int] | None = None
        self._begun = False

    def __call__(self, moment: Moment) -> None:
        if not self._begun:
            self._begin()
        for name, value in moment.values.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)
        if moment.step % self.every and not moment.last:
            return
        means = {name: total / count for name, (total, count) in self._sums.items()}
        line = {"stage": moment.stage.name, "step": moment.step, "seconds": round(moment.seconds, 3), **means}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._sums = {}
        self._resumed_at = (moment.stage.name, moment.step)

    def state_dict(self) -> dict[str, Any]:
        last = self._resumed_at
        return {"sums": {k: list(v) for k, v in self._sums.items()}, "last": list(last) if last else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums = {name: (total, count) for name, (total, count) in state["sums"].items()}
        self._resumed_at = tuple(state["last"]) if state["last"] else None

    def _begin(self) -> None:
        """Keep the lines up to the checkpoint this run continues; a new run starts a new log."""
        self._begun = True
        kept = []
        if self._resumed_at is not None and self.path.exists():
            for line in read_log(self.path):
                kept.append(json.dumps(line) + "\n")
                if (line["stage"], line["step"]) == self._resumed_at:
                    break
        self.path.write_text("".join(kept), encoding="utf-8")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last line cut short by a kill is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


class TensorBoardLog:
    """Write loss terms for TensorBoard; needs the ``tracking`` extra."""

    def __init__(self, folder: Path, *, every: int = 10) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError('TensorBoard logs need: pip install "lowshotgan[tracking]".') from error
        self._open = partial(SummaryWriter, str(folder / "tensorboard"))
        self.writer: Any = None  # opened at the first step: a run that is refused must not write
        self.every = every

    def __call__(self, moment: Moment) -> None:
        self.writer = self.writer or self._open()
        if moment.step % self.every == 0 or moment.last:
            for name, value in moment.values.items():
                self.writer.add_scalar(f"{moment.stage.name}/{name}", value, moment.step)
            self.writer.flush()


class ProgressBar:
    """A bar with the time left, by steps or, with a budget, by time."""

    def __init__(self, *, budget: float | None = None) -> None:
        self.budget = budget
        self._bar: tqdm[Any] | None = None
        self._stage = ""
        self._began = (0, 0.0)

    def __call__(self, moment: Moment) -> None:
        if self._bar is None or self._stage != moment.stage.name:
            self._open(moment)
        assert self._bar is not None
        self._bar.n = round(moment.progress * 1000)
        if moment.step % 10 == 0 or moment.last:
            self._bar.set_postfix_str(f"step {moment.step}{self._left(moment)}", refresh=True)
        if moment.last:
            self._bar.close()
            self._bar = None

    def _open(self, moment: Moment) -> None:
        self._stage, self._began = moment.stage.name, (moment.step, moment.seconds)
        layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {postfix}"
        self._bar = tqdm(total=1000, desc=self._stage, bar_format=layout, file=sys.stderr, leave=True)

    def _left(self, moment: Moment) -> str:
        """``, 1:30 left``, by the steps of this stage in this run; nothing before two of them are done."""
        done, spent = moment.step - self._began[0], moment.seconds - self._began[1]
        if not done:
            return ""
        left = spent / done * (moment.stage.steps - moment.step)
        return f", {_clock(left if self.budget is None else max(0.0, min(left, self.budget - moment.seconds)))} left"


class Prediction:
    """Tell once in a stage, when a few of its steps are timed, how long it takes and how much memory.

    Args:
        device: whose memory is told.
        steps: that are timed, after a first one that also warms up.
        seconds: tell after so long at the latest.
    """

    def __init__(self, device: torch.device, *, steps: int = 16, seconds: float = 10.0) -> None:
        self.device, self.steps, self.seconds = device, steps, seconds
        self._stage = ""
        self._began: tuple[int, float] | None = None

    def __call__(self, moment: Moment) -> None:
        if self._stage != moment.stage.name:
            self._stage, self._began = moment.stage.name, (moment.step, moment.seconds)
            return
        if self._began is None:  # told before
            return
        done, spent = moment.step - self._began[0], moment.seconds - self._began[1]
        if done >= self.steps or spent >= self.seconds:
            self._began = None
            with tqdm.external_write_mode(file=sys.stderr):
                tell(f"{self._stage}: {moment.stage.steps} steps, {self._estimate(spent / done, moment)}.")

    def _estimate(self, per_step: float, moment: Moment) -> Estimate:
        return Estimate(per_step, per_step * moment.stage.steps, peak_memory(self.device))


class Previews:
    """Write fixed-seed grids ``previews/<stage>-<step>.png`` at steps 100, 200, 500, 1000 ... and the last.

    Args:
        folder: the run folder.
        first: step of the first grid.
        at_most: steps between two grids, however long the stage.
    """

    def __init__(self, folder: Path, *, first: int = 100, at_most: int = 5000) -> None:
        self.folder = folder / "previews"
        self.first = first
        self.at_most = at_most

    def __call__(self, moment: Moment) -> None:
        if moment.stage.preview is None or not (moment.last or self.is_due(moment.step)):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        image_grid(moment.stage.preview()).save(self.folder / f"{moment.stage.name}-{moment.step:06d}.png")

    def is_due(self, step: int) -> bool:
        """Whether a grid is drawn after ``step`` steps."""
        if step < self.first:
            return False
        return step % self.at_most == 0 or (step < self.at_most and step in _round_steps(self.at_most))


def _round_steps(limit: int) -> set[int]:
    return {digit * 10**power for power in range(6) for digit in (1, 2, 5) if digit * 10**power < limit}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
