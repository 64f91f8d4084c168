"""How well does each recipe turn K images into an adapted generator? One table per task, and the targets.

    python benchmarks/kshot.py --data PATH --seeds 0,1,2 --budget 60s --output runs/kshot
    python benchmarks/kshot.py --data PATH --k-curve --seeds 0,1,2 --budget 60s --output runs/kshot
    python benchmarks/kshot.py --report-only

Time: each cell (task, recipe, K, seed) takes its budget and about half a minute to measure. A cell is written to
the output folder when it is done, so a run can be stopped and started again, and folders of several machines can
be merged by copying. PATH holds the image packs named in ``_kshot_tasks.py``; the base weights come from
``weights/``. ``--recipes`` also takes the variants of ``_kshot_variants.py``, attempts at missed targets. The report
is written to docs/benchmarks/kshot.md, and every cell beside it (docs/benchmarks/kshot/), so that ``--report-only``
needs nothing else.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import _kshot_report as report
import _kshot_tasks as tasks
from _kshot_cell import BASE, SCRATCH, Cell, run_cell, save_small, to_plain
from _kshot_variants import VARIANTS
from _machine import shown_command

ROOT = Path(__file__).resolve().parents[1]
RECIPES = (BASE, "tgan", "tgan_ada", "freeze_d", "ewc", "cdc", "wedit", "style_domain", "rick", "genda", "auto")
MODELS = {"avatars": "stylegan2_64.avatars_v1", "fashion": "stylegan2_32.fashion_v1", "scratch": "fastgan_64"}
SHOWN_LAST = ("tgan", "tgan_ada", "freeze_d", "ewc")
"""Recipes whose end of the run is measured too, beside the snapshot chosen without the reference."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if options.cell is not None:
        _run_and_write(options)
        return
    options.output.mkdir(parents=True, exist_ok=True)
    if not options.report_only:
        wanted = list(dict.fromkeys(plan(options)))
        _refuse_mixture(wanted, options.output, options.docs / report.SHEETS)
        options.command = shown_command("kshot.py", sys.argv[1:] if arguments is None else arguments)
        missing = [cell for cell in wanted if not (options.output / f"{cell.key}.json").is_file()]
        print(f"{len(wanted)} cells, {len(wanted) - len(missing)} done already", flush=True)
        with ThreadPoolExecutor(options.jobs) as pool:
            for line in pool.map(lambda cell: _in_subprocess(cell, options), missing):
                print(line, flush=True)
    print(f"wrote {report.write(options.output, options.docs, RECIPES)}")


def plan(options: argparse.Namespace) -> Iterator[Cell]:
    """Every cell asked for; seeds outermost, so that a run that is stopped early has whole tables of few seeds."""
    for seed in options.seeds:
        for subset in options.subsets:
            for name in options.tasks:
                yield from _cells_of(tasks.TASKS[name], options, seed, subset)
            if options.k_curve and subset == 0:
                task = tasks.TASKS[tasks.CURVE_TASK]
                for k in tasks.CURVE_KS:
                    yield _cell(task, tasks.CURVE_RECIPE, k, seed, subset, options)


def _cells_of(task: tasks.Task, options: argparse.Namespace, seed: int, subset: int) -> Iterator[Cell]:
    recipes = (SCRATCH,) if task.base == "scratch" else options.recipes
    for recipe in recipes:
        if recipe == BASE and seed != options.seeds[0]:
            continue  # nothing is trained, so the seed changes nothing
        yield _cell(task, recipe, task.k, seed, subset, options)


def _cell(task: tasks.Task, recipe: str, k: int, seed: int, subset: int, options: argparse.Namespace) -> Cell:
    return Cell(
        task=task.name,
        recipe=recipe,
        k=k,
        seed=seed,
        subset=subset,
        model=options.models[task.base],
        budget=None if recipe == BASE else options.budget,
        steps=None if recipe == BASE else options.steps,
        samples=options.samples,
        extractor=options.extractor,
        selector=options.selector,
        last=recipe in SHOWN_LAST,
        device=options.device,
    )


def _refuse_mixture(cells: Sequence[Cell], *folders: Path) -> None:
    """Stop if a finished cell was made in another way than asked for now."""
    for path, cell in ((folder / f"{cell.key}.json", cell) for cell in cells for folder in folders):
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))["settings"]
            other = {name: found.get(name) for name, value in cell.settings.items() if found.get(name) != value}
            if other:
                raise SystemExit(
                    f"{path} was made with {other}; give those options, another --output and --docs, or delete it."
                )


def _in_subprocess(cell: Cell, options: argparse.Namespace) -> str:
    command = [sys.executable, str(Path(__file__).resolve()), "--data", str(options.data)]
    command += ["--output", str(options.output), "--cell", json.dumps(to_plain(cell)), "--jobs", str(options.jobs)]
    command += ["--command", options.command]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    log = options.output / f"{cell.key}.failed.txt"
    if done.returncode:
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        return f"{cell.key}: failed, see {log.name}: {last}"
    log.unlink(missing_ok=True)
    return done.stdout.strip()


def _run_and_write(options: argparse.Namespace) -> None:
    cell: Cell = options.cell
    found, sheet = run_cell(cell, options.data)
    found |= {"jobs": options.jobs, "command": options.command}
    save_small(sheet, options.output / f"{cell.key}.webp")
    path = options.output / f"{cell.key}.json"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)
    kernel = found["chosen"]["kernel"]
    print(f"{cell.key}: kernel distance {kernel:.4f}, {found['total_seconds']} s in all")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds the packs")
    parser.add_argument("--tasks", type=_names(tasks.TASKS), default=list(tasks.ADAPTED_TASKS))
    parser.add_argument("--recipes", type=_names((*RECIPES, *VARIANTS)), default=list(RECIPES))
    parser.add_argument("--seeds", type=_numbers, default=[0], help="of the training, such as 0,1,2")
    parser.add_argument("--subsets", type=_numbers, default=[0], help="0 for the fixed K images, else seeds of draws")
    parser.add_argument("--budget", help="time of each adaptation, such as 60s; default: the recipe's steps")
    parser.add_argument("--steps", type=int, help="instead of each recipe's own number")
    parser.add_argument("--k-curve", action="store_true", help=f"also K = {tasks.CURVE_KS} on {tasks.CURVE_TASK}")
    parser.add_argument("--samples", type=int, default=1000, help="generated images that are measured")
    parser.add_argument("--extractor", default="lsg1", help="network of the scores")
    parser.add_argument("--selector", default="lsg1", help="network by which a run chooses its snapshot")
    parser.add_argument("--device", help="default: a GPU where there is one")
    parser.add_argument("--jobs", type=int, default=1, help="cells at once; they then share the machine's time")
    parser.add_argument("--output", type=Path, default=Path("runs/kshot"), help="folder of the cells")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "benchmarks", help="where the report goes")
    parser.add_argument("--report-only", action="store_true", help="rebuild the report from the cells there are")
    for base, model in MODELS.items():
        parser.add_argument(f"--{base}", default=model, help=f"base weights (default {model})")
    parser.add_argument("--cell", type=_read_cell, help=argparse.SUPPRESS)
    parser.add_argument("--command", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.data is None and not options.report_only:
        parser.error("--data is needed to run cells")
    if options.budget is not None and options.steps is not None:
        parser.error("give --budget or --steps, not both")
    options.models = {base: getattr(options, base) for base in MODELS}
    return options


def _read_cell(text: str) -> Cell:
    values: dict[str, Any] = json.loads(text)
    return Cell(**values)


def _names(known: Any) -> Any:
    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; known are {', '.join(known)}")
        return names

    return parse


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    main()
