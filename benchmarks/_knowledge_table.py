"""Cells and lines of the tables of ``knowledge.py``'s page."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

SEEDS = 3
"""Seeds that a full table has."""
Cells = Mapping[str, Sequence[dict[str, Any]]]
"""Arm -> its cells, one a seed."""


def values(cells: Sequence[Mapping[str, Any]], *path: str) -> list[float]:
    """The value at ``path`` of each cell that has one."""
    found = []
    for cell in cells:
        value: Any = cell
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        found += [value] if value is not None else []
    return found


def average(arms: Cells, arm: str, *path: str) -> float | None:
    """The mean over the seeds of an arm, if it was run."""
    found = values(arms.get(arm, []), *path)
    return mean(found) if found else None


def verdict(target: str, value: float, reached: bool) -> str:
    """A line of a table of targets."""
    return f"| {target} | {value:.3f} | {'reached' if reached else 'missed'} |"


def row(label: str, columns: list[list[float]]) -> str:
    """A line of a table of results, each column with a value for each seed."""
    count = max(map(len, columns))
    told = f"{count} of {SEEDS}" if count < SEEDS else str(count)
    return f"| {label} | {told} | {' | '.join(map(_value, columns))} |"


def _value(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
