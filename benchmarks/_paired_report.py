"""The table, the gates and the pictures of ``paired.py``, from its cells and the pictures in its work folder."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from _machine import describe
from _paired_methods import MISPAIRED, SYSTEMS
from _paired_scores import COLUMNS
from PIL import Image, ImageDraw

FEW_SHOT_BASELINES = ("scratch", "finetune", "finetune_gd")
SCALE = 2
LABEL = 150
METHODS = (*SYSTEMS, *FEW_SHOT_BASELINES, "cogan", "unit", "cdc")
SHOTS = (1, 5, 10, 30)
NOT_RUN, NO_BOUND = "not run", "–"

Means = Mapping[str, float]
Cells = dict[tuple[str, int, str], list[dict[str, Any]]]


class Gate(NamedTuple):
    """A condition with one bound per K; ``value`` takes the means of a system and of every method."""

    name: str
    bounds: Mapping[int, float]
    value: Callable[[Means, Mapping[str, Means]], float | None]
    at_least: bool = False


def bounds(*values: float) -> dict[int, float]:
    return dict(zip(SHOTS, values, strict=True))


def gates(system: str) -> list[Gate]:
    """What is asked of a system at each K."""
    kernel = bounds(0.8, 0.8, 0.9, 1.0) if system == "lado" else bounds(0.6, 0.7, 0.7, 0.9)
    gap = Gate("pair gap, unseen pairs", {10: 0.7, 30: 0.6}, lambda ours, all_: ours.get("gap"))
    mispaired = Gate("CR lost by wrong pairs", {5: 0.1, 10: 0.1, 30: 0.1}, _lost_by(system), at_least=True)
    return [
        Gate("KD over the best baseline's", kernel, _kernel_ratio),
        Gate("diversity kept", bounds(0.7, 0.75, 0.8, 0.85), lambda ours, all_: ours.get("diversity"), at_least=True),
        Gate("CR", bounds(0.85, 0.8, 0.75, 0.7), lambda ours, all_: ours.get("CR")),
        Gate("CR below finetune_gd by", bounds(0.1, 0.1, 0.1, 0.1), _below_finetuned, at_least=True),
        Gate("class agreement over finetune_gd's", bounds(1.4, 1.4, 1.5, 1.5), _agreement_ratio, at_least=True),
        Gate("copying", bounds(0.7, 0.8, 0.8, 0.8), lambda ours, all_: ours.get("copying"), at_least=True),
        *([] if system == "pfsgan" else [gap]),
        mispaired,
    ]


def read_cells(folder: Path) -> Cells:
    """Finished cells by task, K and method."""
    found: Cells = defaultdict(list)
    for path in sorted(folder.glob("*--k*.json")):
        cell = json.loads(path.read_text())
        found[cell["task"], cell["k"], cell["method"]].append(cell)
    return found


def means(cells: list[dict[str, Any]]) -> dict[str, float]:
    """Mean of each column that all of ``cells`` have."""
    return {name: fmean(cell[name] for cell in cells) for name in COLUMNS if all(name in cell for cell in cells)}


def report(folder: Path) -> str:
    """Every column of every method, the main ones first, and what was not run; then the verdict on every gate."""
    found = read_cells(folder)
    heads = ["task", "K", "method", "cells", *COLUMNS, "seconds"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    missing = []
    for task, k in sorted({key[:2] for key in found}):
        measured = {name for t, n, name in found if (t, n) == (task, k)}
        order = [name for name in METHODS if name in measured] + sorted(measured - set(METHODS))
        lines += [_row(task, k, method, found[task, k, method]) for method in order]
        absent = [name for name in METHODS if name not in measured]
        missing += [f"- {task}, K = {k}, {NOT_RUN}: {', '.join(absent)}."] if absent else []
    return "\n".join([*lines, "", *missing, "", *_verdicts(found)])


def write_page(folder: Path, page: Path, work: Path) -> None:
    """Put the table of the cells in ``folder`` and their pictures between the marks of a Markdown page.

    A picture beside the page is drawn again if ``work`` has all it is made of, and kept as it is otherwise.
    """
    begin, end = "<!-- measured -->", "<!-- end of measured -->"
    text = page.read_text(encoding="utf-8")
    before, after = text.split(begin)[0], text.split(end)[1]
    sheets, cells = [], read_cells(folder)
    for task, k in sorted({key[:2] for key in cells}):
        path = page.parent / f"{page.stem}_{task}_k{k}.png"
        sheet = contact_sheet(cells, task, k, work)
        if sheet is not None:
            sheet.save(path, optimize=True)
        if path.is_file():
            sheets.append(f"![Twins of seeds 0 to 11, {task}, K = {k}]({path.name})")
    body = "\n\n".join([begin, *_machines(cells), report(folder), *sheets, end])
    page.write_text(before + body + after, encoding="utf-8")


def _machines(cells: Cells) -> list[str]:
    """What the cells that say so were measured on, in a sentence."""
    found = {describe(cell["machine"]) for several in cells.values() for cell in several if "machine" in cell}
    return [f"Measured on {'; '.join(sorted(found))}."] if found else []


def contact_sheet(cells: Cells, task: str, k: int, work: Path) -> Image.Image | None:
    """Seeds 0 to 11 of every method's first cell: source twins above target twins; ``None`` if a picture is missing."""
    chosen = {name: found for (t, n, name), found in cells.items() if (t, n) == (task, k)}
    order = [name for name in (*METHODS, *sorted(set(chosen) - set(METHODS))) if name in chosen]
    paths = [(name, work / chosen[name][0]["picture"]) for name in order]
    if not all(path.is_file() for _, path in paths):
        return None
    pictures = [(name, Image.open(path)) for name, path in paths]
    width, height = pictures[0][1].size
    sheet = Image.new("RGB", (LABEL + SCALE * width, len(pictures) * (SCALE * height + 6)), "white")
    for number, (name, picture) in enumerate(pictures):
        top = number * (SCALE * height + 6)
        ImageDraw.Draw(sheet).text((4, top + 4), name.replace("[", "\n["), fill="black")
        sheet.paste(picture.resize((SCALE * width, SCALE * height), Image.Resampling.NEAREST), (LABEL, top))
    return sheet


def _row(task: str, k: int, method: str, cells: list[dict[str, Any]]) -> str:
    values = [_cell([cell[name] for cell in cells if name in cell]) for name in COLUMNS]
    seconds = f"{fmean(cell['seconds'] for cell in cells):.0f}"
    head = [task, str(k), method, str(len(cells))]
    return "| " + " | ".join([*head, *values, seconds]) + " |"


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    return f"{fmean(values):.3g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


def _verdicts(found: Cells) -> list[str]:
    """A row for each gate that something is known of."""
    lines = [
        "| gate | system | task | " + " | ".join(f"K = {k}" for k in SHOTS) + " |",
        "|" + "---|" * (3 + len(SHOTS)),
    ]
    for task in sorted({key[0] for key in found}):
        for system in SYSTEMS:
            for method in _variants(found, task, system):
                for gate in gates(system):
                    cells = [_verdict(found, task, k, method, gate) for k in SHOTS]
                    if set(cells) <= {NOT_RUN, NO_BOUND}:
                        continue
                    lines.append(f"| {gate.name} | {method} | {task} | " + " | ".join(cells) + " |")
    return lines


def _variants(found: Cells, task: str, system: str) -> list[str]:
    """What was measured of a system, the plain one first."""
    measured = {name for t, _, name in found if t == task and name.partition("[")[0] == system}
    return sorted(measured - {f"{system}[{MISPAIRED}]"})


def _verdict(found: Cells, task: str, k: int, method: str, gate: Gate) -> str:
    if k not in gate.bounds:
        return NO_BOUND
    measured = {name: means(cells) for (t, n, name), cells in found.items() if (t, n) == (task, k)}
    value = gate.value(measured[method], measured) if method in measured else None
    if value is None:
        return NOT_RUN
    bound = gate.bounds[k]
    met = value >= bound if gate.at_least else value <= bound
    return f"{'met' if met else 'missed'}: {value:.2f} ({'≥' if gate.at_least else '≤'} {bound:g})"


def _kernel_ratio(ours: Means, measured: Mapping[str, Means]) -> float | None:
    others = [measured[name]["KD"] for name in FEW_SHOT_BASELINES if name in measured]
    return ours["KD"] / min(others) if len(others) == len(FEW_SHOT_BASELINES) else None


def _below_finetuned(ours: Means, measured: Mapping[str, Means]) -> float | None:
    return measured["finetune_gd"]["CR"] - ours["CR"] if "finetune_gd" in measured else None


def _lost_by(system: str) -> Callable[[Means, Mapping[str, Means]], float | None]:
    """CR of a system with wrong partners minus that with true ones."""

    def lost(ours: Means, measured: Mapping[str, Means]) -> float | None:
        wrong = measured.get(f"{system}[{MISPAIRED}]")
        return None if wrong is None else wrong["CR"] - ours["CR"]

    return lost


def _agreement_ratio(ours: Means, measured: Mapping[str, Means]) -> float | None:
    theirs = measured.get("finetune_gd", {}).get("agreement")
    return ours["agreement"] / theirs if theirs and "agreement" in ours else None
