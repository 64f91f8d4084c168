"""Turn the cells of the K-shot benchmark into docs/benchmarks/kshot.md and its contact sheets."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from _kshot_cell import BASE, SCRATCH, SHEET_SEEDS, save_small
from _kshot_targets import Cells, Mean, Verdict, curve_of, evaluate
from _kshot_tasks import ADAPTED_TASKS, CURVE_KS, SCRATCH_TASK, TASKS, Task
from _kshot_variants import VARIANTS
from _machine import MIB, describe
from PIL import Image

NOTES = "<!-- what stands below this line is written by hand and kept -->"
SHEETS = "kshot"
"""Folder of the cells and contact sheets beside the report."""
COLUMNS: Sequence[tuple[str, str, str]] = (
    ("kernel", "KD-{net}", "{:.4f}"),
    ("intra_cluster", "intra PD-{net}", "{:.4f}"),
    ("cluster_coverage", "clusters", "{:.2f}"),
    ("density", "density", "{:.2f}"),
    ("coverage", "coverage", "{:.2f}"),
    ("memorized", "memorised", "{:.1%}"),
    ("edge_agreement", "edges", "{:.2f}"),
    ("relation_agreement", "relations", "{:.2f}"),
    ("diversity_ratio", "diversity", "{:.2f}"),
)
"""Key of a score, its heading and its format."""

INTRO = """# K-shot adaptation

Each recipe adapts a base model to K images; its samples are then compared with images of the target that it never saw.
Every number is the mean over the runs (n of them), ± the standard deviation over them. The model of each row is the
snapshot that the run itself chose from the K images and the base alone; "end of run" is its last step.
"""

READING = """## How to read the columns

- **KD**: kernel distance to the reference, lower is better, near 0 for the same distribution.
- **intra PD**: perceptual distance between samples that share their nearest target image; higher is more varied, and
  noise raises it too. **clusters**: share of the K images that are nearest to at least one sample.
- **density**, **coverage**: how many reference neighbourhoods the samples fall into; the share of them that is hit.
- **memorised**: share of samples that copy one of the K images.
- **edges**, **relations**: what was kept of the base for the same latents (overlap of outlines; rank correlation of
  distances). **diversity**: mean distance between samples divided by that of the base's.
- **training s**: time of the training loop, scoring of snapshots included; **call s**: of the whole `finetune()` call,
  from reading the images to the report. **steps**: done, of those the recipe plans. **peak**: memory of the process (of
  the GPU, where there was one) up to the end of the adaptation. **delta**: size of what was trained.

The network `lsg1` was trained as a classifier on images of the packs used here (`lorelei` excepted), so compare rows
with each other rather than with other work.
"""


def write(folder: Path, docs: Path, recipes: Sequence[str]) -> Path:
    """Write the report of the cells in ``folder`` and return its path."""
    kept = docs / SHEETS
    kept.mkdir(parents=True, exist_ok=True)
    for cell in folder.glob("*.seed*.json"):
        shutil.copyfile(cell, kept / cell.name)
    found = read_cells(kept)
    path = docs / "kshot.md"
    sheets = _copy_sheets(folder, kept, found)
    failed = {one.name.removesuffix(".failed.txt") for one in folder.glob("*.failed.txt")}
    parts = [INTRO, _protocol(found), _targets(evaluate(Cells(found)))]
    parts += [_table(TASKS[name], Cells(found), recipes, failed) for name in ADAPTED_TASKS]
    parts += [_attempts(Cells(found)), _scratch(Cells(found), failed), _curve(Cells(found)), _sheets(sheets), READING]
    parts.append(_kept_notes(path))
    path.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")
    return path


def read_cells(folder: Path) -> list[dict[str, Any]]:
    """Every finished cell, in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.seed*.json"))]


def _protocol(cells: Sequence[Mapping[str, Any]]) -> str:
    if not cells:
        return "Nothing was run yet; every row below says so. Run `python benchmarks/kshot.py --help` for the command."
    trained = [cell for cell in cells if cell["recipe"] != BASE]
    lines = [f"- Command: `{command}`" for command in sorted({cell.get("command") for cell in cells} - {None, ""})]
    lines.append(f"- Machine: {_distinct(describe(cell['machine']) for cell in cells)}")
    lines.append(f"- Time: {_distinct(_limit(cell) for cell in trained) or 'nothing was trained'}")
    lines.append(f"- Seeds: {_distinct(str(cell['seed']) for cell in trained)}; {_subsets(trained)}")
    lines.append(f"- Base weights: {_distinct(Path(cell['settings']['model']).name for cell in cells)}")
    lines.append(
        f"- Protocol: {_distinct(_network(cell) for cell in cells)}, samples of seeds 0 to "
        f"{_distinct(str(cell['settings']['samples'] - 1) for cell in cells)}, truncation 1, stored noise; "
        f"lowshotgan {_distinct(cell['lowshotgan'] for cell in cells)}"
    )
    if _distinct(str(cell.get("jobs", 1)) for cell in cells) != "1":
        jobs = _distinct(str(cell.get("jobs", 1)) for cell in cells)
        lines.append(f"- Cells at once: {jobs}. They shared the machine, so their seconds are longer than alone.")
    return "\n".join(lines)


def _limit(cell: Mapping[str, Any]) -> str:
    settings = cell["settings"]
    if settings["budget"]:
        return f"budget {settings['budget']} per adaptation"
    return f"{settings['steps']} steps" if settings["steps"] else "each recipe's own number of steps"


def _subsets(cells: Sequence[Mapping[str, Any]]) -> str:
    subsets = sorted({cell["subset"] for cell in cells})
    if subsets in ([], [0]):
        return "the fixed K images of each task"
    return f"K images of subsets {', '.join(map(str, subsets))} (0 is the fixed one, the others are drawn)"


def _network(cell: Mapping[str, Any]) -> str:
    return str(cell["protocol"]).partition("/ref-")[0]


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(sorted(set(texts)))


def _targets(verdicts: Sequence[Verdict]) -> str:
    lines = ["## Targets", "", "| target | asks | found | |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {one.asks} | {one.found} | **{one.status}** |" for one in verdicts]
    lines += [
        "",
        "KD and PD are ratios of means; times compare whole runs at each recipe's own number of steps, "
        "extrapolated from the measured time per step where a budget ended a run.",
    ]
    return "\n".join(lines)


def _table(task: Task, cells: Cells, recipes: Sequence[str], failed: set[str]) -> str:
    there = [recipe for recipe in recipes if cells.of(task.name, recipe)]
    alike = [one for one in cells.all if (one["task"], one["k"]) == (task.name, task.k)]
    count = max((one["reference_images"] for one in alike), default=None)
    reference = "" if count is None else f" Reference: {count} images."
    lines = [f"## {task.name}: {task.about}", "", f"K = {task.k}: {task.rule}.{reference}", "", *_heading(cells.all)]
    for recipe in recipes:
        lines.append(_row(task, recipe, cells, failed))
        if recipe in there and cells.mean(task.name, recipe, "kernel", part="last"):
            lines.append(_row(task, recipe, cells, failed, part="last"))
    return "\n".join(lines)


def _attempts(cells: Cells) -> str:
    """The variants that were run, below the targets they were made for."""
    rows = [
        f"| {variant.target} | {task} " + _row(TASKS[task], name, cells, set())
        for name, variant in VARIANTS.items()
        for task in ADAPTED_TASKS
        if cells.of(task, name)
    ]
    if not rows:
        return ""
    first, second = _heading(cells.all)
    tried = [f"- {name}: {variant.explain()}" for name, variant in VARIANTS.items()]
    lines = ["## Attempts at missed targets", "", *tried, "", f"| target | task {first}", f"|---|---{second}", *rows]
    return "\n".join(lines)


def _heading(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    net = _distinct(cell["settings"]["extractor"] for cell in cells) or "lsg1"
    names = [
        "recipe",
        *(name.format(net=net) for _, name, _ in COLUMNS),
        "training s",
        "call s",
        "steps",
        "peak",
        "delta",
        "n",
    ]
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def _row(task: Task, recipe: str, cells: Cells, failed: set[str], *, part: str = "chosen") -> str:
    name = recipe if part == "chosen" else f"{recipe}, end of run"
    found = cells.of(task.name, recipe)
    if not found:
        tried = any(key.startswith(f"{task.name}.{recipe}.k{task.k}.") for key in failed)
        return f"| {name} | {'failed' if tried else 'not run'} |" + " |" * (len(COLUMNS) + 5)
    scores = [_show(cells.mean(task.name, recipe, key, part=part), form) for key, _, form in COLUMNS]
    facts = _facts(task, recipe, cells) if part == "chosen" else [""] * 5
    return f"| {' | '.join([name, *scores, *facts, str(len(found))])} |"


def _facts(task: Task, recipe: str, cells: Cells) -> list[str]:
    def fact(key: str) -> Mean | None:
        return cells.mean(task.name, recipe, key, part="run")

    peak, delta, done, planned = fact("peak_bytes"), fact("delta_bytes"), fact("steps"), fact("recipe_steps")
    return [
        _show(fact("seconds"), "{:.0f}"),
        _show(fact("wall_seconds"), "{:.0f}"),
        "" if done is None else f"{done.value:.0f}" + ("" if planned is None else f" of {planned.value:.0f}"),
        "" if peak is None or recipe == BASE else f"{peak.value / MIB:,.0f} MiB",
        "" if delta is None else f"{delta.value / 1000:,.0f} KB",
    ]


def _show(mean: Mean | None, form: str) -> str:
    if mean is None:
        return ""
    return form.format(mean.value) + ("" if mean.std is None else f" ± {form.format(mean.std)}")


def _scratch(cells: Cells, failed: set[str]) -> str:
    task = TASKS[SCRATCH_TASK]
    row = _row(task, SCRATCH, cells, failed)
    title = [f"## {task.name}: {task.about}", "", f"K = {task.k}: {task.rule}.", ""]
    return "\n".join([*title, *_heading(cells.all), row])


def _curve(cells: Cells) -> str:
    lines = [
        "## K-curve of `auto` on A-near",
        "",
        "All K are compared with the same reference, the images behind the "
        f"{max(CURVE_KS)}th; each K contains the smaller ones.",
        "",
        "| K | KD | memorised | coverage | n |",
        "|---|---|---|---|---|",
    ]
    for k, mean in curve_of(cells).items():
        if mean is None:
            lines.append(f"| {k} | not run | | | |")
            continue
        copied, coverage = (cells.mean("A-near", "auto", key, k=k) for key in ("memorized", "coverage"))
        shown = [_show(mean, "{:.4f}"), _show(copied, "{:.1%}"), _show(coverage, "{:.2f}")]
        lines.append(f"| {k} | {' | '.join(shown)} | {mean.n} |")
    return "\n".join(lines)


# ---- contact sheets -------------------------------------------------------------------------------------------


def _copy_sheets(folder: Path, target: Path, cells: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Copy the sheets of seed 0 that ``folder`` has; returns recipe names by task of all that are in ``target``."""
    copied: dict[str, list[str]] = {}
    for cell in cells:
        task, recipe, k = cell["task"], cell["recipe"], cell["k"]
        source, sheet = folder / f"{task}.{recipe}.k{k}.subset0.seed0.webp", target / f"{task}.{recipe}.webp"
        first = (cell["seed"], cell["subset"]) == (0, 0) and k == TASKS[task].k
        if recipe == BASE or recipe in VARIANTS or not first:
            continue
        if source.is_file():
            shutil.copyfile(source, sheet)
        if sheet.is_file():
            copied.setdefault(task, []).append(recipe)
    for task, recipes in copied.items():
        if {"auto", "tgan"} <= set(recipes):
            compared = compare_sheets(*(Image.open(target / f"{task}.{name}.webp") for name in ("tgan", "auto")))
            save_small(compared, target / f"{task}.tgan-and-auto.webp")
    return copied


def compare_sheets(tgan: Image.Image, auto: Image.Image) -> Image.Image:
    """Rows base, tgan, auto for the same latents, cut from the sheets of both."""
    side = round((tgan.width - 2) / len(SHEET_SEEDS))
    both = Image.new("RGB", (tgan.width, 3 * side + 2), "white")
    both.paste(tgan.crop((0, 0, tgan.width, 2 * side)), (0, 0))
    both.paste(auto.crop((0, side, auto.width, 2 * side + 2)), (0, 2 * side))
    return both


def _sheets(copied: Mapping[str, Sequence[str]]) -> str:
    lines = [
        "## Contact sheets",
        "",
        "Seeds 0 to 15 in columns, nothing picked. Rows: the base, the adapted model "
        "and, for some recipes, the end of the run.",
    ]
    if not copied:
        return "\n".join([*lines, "", "No cell of seed 0 was run yet."])
    for task, recipes in copied.items():
        lines += ["", f"### {task}"]
        if {"auto", "tgan"} <= set(recipes):
            lines += ["", "Base, tgan and auto (target A7):", "", f"![{task}]({SHEETS}/{task}.tgan-and-auto.webp)"]
        for recipe in sorted(recipes):
            lines += ["", f"{recipe}:", "", f"![{task}, {recipe}]({SHEETS}/{task}.{recipe}.webp)"]
    return "\n".join(lines)


def _kept_notes(path: Path) -> str:
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    _, marker, notes = old.partition(NOTES)
    return f"{NOTES}\n\n{notes.strip()}" if marker else f"{NOTES}\n\n## Notes\n\nNone yet."
