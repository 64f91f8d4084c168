"""The targets of the K-shot benchmark, evaluated on whatever cells there are; a missing cell is never guessed."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from _kshot_tasks import ADAPTED_TASKS, CURVE_KS, CURVE_RECIPE, CURVE_TASK, SCRATCH_TASK, TASKS

Plain = Mapping[str, Any]
Status = Literal["met", "missed", "not measured", "reported"]
SINGLE = ("tgan", "tgan_ada", "freeze_d", "ewc", "cdc", "wedit", "style_domain", "rick", "genda")
BASELINES = ("tgan", "freeze_d", "ewc", "cdc")
KILOBYTE = 1000


@dataclass(frozen=True)
class Mean:
    """Mean and standard deviation of n values; no deviation for one value."""

    value: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Verdict:
    """One target: what it asks, what was found."""

    name: str
    asks: str
    status: Status
    found: str


class Cells:
    """Finished cells, looked up by task, recipe and K."""

    def __init__(self, cells: Iterable[Plain]) -> None:
        self.all = list(cells)

    def of(self, task: str, recipe: str, k: int | None = None) -> list[Plain]:
        """Cells of all seeds and subsets; ``k`` defaults to the task's."""
        k = TASKS[task].k if k is None else k
        return [c for c in self.all if (c["task"], c["recipe"], c["k"]) == (task, recipe, k)]

    def mean(self, task: str, recipe: str, key: str, *, part: str = "chosen", k: int | None = None) -> Mean | None:
        """Mean over seeds of a score (``part`` "chosen" or "last") or of a fact of the run ("run")."""
        parts = [cell.get(part) or {} for cell in self.of(task, recipe, k)]
        return mean_of([one.get(key) for one in parts])

    def whole_run_seconds(self, task: str, recipe: str) -> Mean | None:
        """Time of the recipe's own number of steps; where a budget cut it, the measured time per step times that."""
        return mean_of([_whole_run(cell["run"]) for cell in self.of(task, recipe)])


def mean_of(values: Sequence[float | None]) -> Mean | None:
    """Mean of the values there are; ``None`` if there is none."""
    found = [value for value in values if value is not None and math.isfinite(value)]
    if not found:
        return None
    return Mean(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None, len(found))


def evaluate(cells: Cells) -> list[Verdict]:
    """Every target in order."""
    return [target(cells) for target in TARGETS]


def _whole_run(run: Plain) -> float | None:
    seconds, steps = run.get("seconds"), run.get("steps")
    if not seconds or not steps:
        return None
    return float(seconds) / steps * max(run.get("recipe_steps") or steps, steps)


def _baseline(cells: Cells) -> Verdict:
    asks = "tgan at the end of its run on A-near copies at least 30 % or keeps at most half of the base's diversity"
    copied = cells.mean("A-near", "tgan", "memorized", part="last")
    kept = cells.mean("A-near", "tgan", "diversity_ratio", part="last")
    if copied is None and kept is None:
        return Verdict("baseline", asks, "not measured", "no end of a tgan run on A-near")
    good = (copied is not None and copied.value >= 0.3) or (kept is not None and kept.value <= 0.5)
    found = f"memorised {_share(copied)}, diversity ratio {_number(kept)}{_over(copied or kept)}"
    return Verdict("baseline", asks, _status(good), found)


def _a1(cells: Cells) -> Verdict:
    asks = (
        "cdc on A-near and A-line: kernel distance at most 0.8 x and intra-cluster distance at least 1.15 x that of "
        "tgan's best leak-free snapshot, memorised at most 10 %"
    )
    checks: list[bool | None] = []
    lines = []
    for task in ("A-near", "A-line"):
        kernel = _ratio(cells.mean(task, "cdc", "kernel"), cells.mean(task, "tgan", "kernel"))
        intra = _ratio(cells.mean(task, "cdc", "intra_cluster"), cells.mean(task, "tgan", "intra_cluster"))
        copied = cells.mean(task, "cdc", "memorized")
        checks += [_at_most(kernel, 0.8), _at_least(intra, 1.15), _at_most(copied and copied.value, 0.10)]
        lines.append(f"{task}: KD {_times(kernel)}, PD {_times(intra)}, memorised {_share(copied)}{_over(copied)}")
    return Verdict("A1", asks, _all(checks), "; ".join(lines))


def _a2(cells: Cells) -> Verdict:
    asks = (
        "wedit and style_domain on A-near: kernel distance within 10 % of the best of tgan, freeze_d, ewc, cdc; delta "
        "at most 200 KB; memorised at most 3 %; a whole run in at most half the time of cdc"
    )
    known = [cells.mean("A-near", recipe, "kernel") for recipe in BASELINES]
    best = min((one.value for one in known if one), default=None) if all(known) else None
    reference = cells.whole_run_seconds("A-near", "cdc")
    checks: list[bool | None] = []
    lines = []
    for recipe in ("wedit", "style_domain"):
        kernel = cells.mean("A-near", recipe, "kernel")
        ratio = kernel.value / best if kernel and best and best > 0 else None
        size = cells.mean("A-near", recipe, "delta_bytes", part="run")
        copied = cells.mean("A-near", recipe, "memorized")
        time = _ratio(cells.whole_run_seconds("A-near", recipe), reference)
        checks += [
            _at_most(ratio, 1.1),
            _at_most(size and size.value, 200 * KILOBYTE),
            _at_most(copied and copied.value, 0.03),
            _at_most(time, 0.5),
        ]
        delta = "not measured" if size is None else f"{size.value / KILOBYTE:.0f} KB"
        lines.append(
            f"{recipe}: KD {_times(ratio)}, delta {delta}, memorised {_share(copied)}, time {_times(time)}"
            f"{_over(kernel)}"
        )
    return Verdict("A2", asks, _all(checks), "; ".join(lines))


def _a3(cells: Cells) -> Verdict:
    asks = "rick on A-far and F-far: kernel distance within 5 % of the best recipe besides auto (reported)"
    lines, ratios = [], []
    for task in ("A-far", "F-far"):
        best = best_single(cells, task)
        ratios.append(_ratio(cells.mean(task, "rick", "kernel"), best[1] if best else None))
        lines.append(f"{task}: {_times(ratios[-1])} of {best[0] if best else 'the best'}")
    return Verdict("A3", asks, _reported(any(ratios)), "; ".join(lines))


def _a4(cells: Cells) -> Verdict:
    asks = (
        "auto on every task: kernel distance at most 1.05 x that of the single recipe the reference calls best, "
        "memorised at most 5 %; consistency on A-near at least 0.9 x that of cdc"
    )
    checks: list[bool | None] = []
    lines = []
    for task in ADAPTED_TASKS:
        best = best_single(cells, task)
        complete = all(cells.of(task, recipe) for recipe in SINGLE)
        ratio = _ratio(cells.mean(task, "auto", "kernel"), best[1] if best else None)
        copied = cells.mean(task, "auto", "memorized")
        good = _at_most(ratio, 1.05)
        checks += [good if complete or good is False else None, _at_most(copied and copied.value, 0.05)]
        among = "" if complete else " so far"
        named = f"{_times(ratio)} of {best[0]}{among}" if best and ratio is not None else "not measured"
        lines.append(f"{task}: KD {named}, memorised {_share(copied)}{_over(copied)}")
    ours = cells.mean("A-near", "auto", "edge_agreement")
    agreement = _ratio(ours, cells.mean("A-near", "cdc", "edge_agreement"))
    checks.append(_at_least(agreement, 0.9))
    lines.append(f"consistency on A-near {_times(agreement)} of cdc")
    return Verdict("A4", asks, _all(checks), "; ".join(lines))


def _a5(cells: Cells) -> Verdict:
    asks = "fastgan from scratch, K = 100: coverage at least 0.4, memorised below 20 % (reported)"
    coverage = cells.mean(SCRATCH_TASK, "fastgan", "coverage")
    copied = cells.mean(SCRATCH_TASK, "fastgan", "memorized")
    found = f"{SCRATCH_TASK}: coverage {_number(coverage)}, memorised {_share(copied)}{_over(coverage)}"
    return Verdict("A5", asks, _reported(coverage is not None), found)


def _a6(cells: Cells) -> Verdict:
    asks = f"auto on A-near: kernel distance falls with K = {', '.join(map(str, CURVE_KS))}, within one deviation"
    curve = curve_of(cells)
    lines = [f"K = {k}: {_number(mean, with_std=True)}" for k, mean in curve.items()]
    checks = [_not_above(curve[b], curve[a]) for a, b in pairwise(CURVE_KS)]
    return Verdict("A6", asks, _all(checks), ", ".join(lines) + _over(curve[CURVE_KS[0]]))


def _a7(cells: Cells) -> Verdict:
    asks = "a stranger prefers auto to tgan in a contact sheet of the same latents (reported)"
    there = bool(cells.of("A-near", "auto") and cells.of("A-near", "tgan"))
    return Verdict("A7", asks, _reported(there), "see the sheets below" if there else "no sheets yet")


TARGETS: Sequence[Callable[[Cells], Verdict]] = (_baseline, _a1, _a2, _a3, _a4, _a5, _a6, _a7)


def best_single(cells: Cells, task: str) -> tuple[str, Mean] | None:
    """The recipe besides auto with the lowest mean kernel distance to the reference, among those that were run."""
    known = {recipe: cells.mean(task, recipe, "kernel") for recipe in SINGLE}
    found = {recipe: mean for recipe, mean in known.items() if mean is not None}
    if not found:
        return None
    name = min(found, key=lambda recipe: found[recipe].value)
    return name, found[name]


def curve_of(cells: Cells) -> dict[int, Mean | None]:
    """Kernel distance of ``auto`` to the reference all K share, by K."""
    return {k: cells.mean(CURVE_TASK, CURVE_RECIPE, "kernel_common", k=k) for k in CURVE_KS}


def _ratio(ours: Mean | None, theirs: Mean | None) -> float | None:
    if ours is None or theirs is None or theirs.value <= 0:
        return None
    return ours.value / theirs.value


def _at_most(value: float | None, limit: float) -> bool | None:
    return None if value is None else value <= limit


def _at_least(value: float | None, limit: float) -> bool | None:
    return None if value is None else value >= limit


def _not_above(later: Mean | None, earlier: Mean | None) -> bool | None:
    """Whether the score at the larger K is not worse by more than one deviation; unknown without deviations."""
    if later is None or earlier is None or later.std is None or earlier.std is None:
        return None
    return later.value <= earlier.value + max(later.std, earlier.std)


def _all(checks: Sequence[bool | None]) -> Status:
    """One check that fails decides; otherwise all must have been measured."""
    if any(check is False for check in checks):
        return "missed"
    return "not measured" if any(check is None for check in checks) else "met"


def _status(good: bool) -> Status:
    return "met" if good else "missed"


def _reported(there: bool) -> Status:
    return "reported" if there else "not measured"


def _number(mean: Mean | None, *, with_std: bool = False) -> str:
    if mean is None:
        return "not measured"
    return f"{mean.value:.4f}" + (f" ± {mean.std:.4f}" if with_std and mean.std is not None else "")


def _share(mean: Mean | None) -> str:
    return "not measured" if mean is None else f"{100 * mean.value:.1f} %"


def _times(ratio: float | None) -> str:
    return "not measured" if ratio is None else f"{ratio:.2f} x"


def _over(mean: Mean | None) -> str:
    return "" if mean is None else f" (n = {mean.n})"
