"""Compare systems that learn from K pairs with one another, with baselines, and with what a perfect one would reach.

    python benchmarks/paired.py --data fashion_mnist --classes 0,2,4,6 --split train --score-split test --fit pad \
        --background 0,0,0 --no-enlarge --style line --models lado=lado_32.fashion_v1,genho=genho_32.fashion_v1
    python benchmarks/paired.py --pairs emoji/flat,emoji/shaded --fit pad --models ...
    python benchmarks/paired.py --page docs/benchmarks/paired.md

One cell is one method, K, draw of the shots and seed; it takes the seconds that the table tells. Each finished cell is a
JSON file in ``--output``, so a run can be stopped and resumed, and ``--budget`` stops it between cells; its picture (the
twins of seeds 0 to 11) and its run are in ``--work``. The table and the gates are made of whatever is there; what is not is
"not run". Without images only they are written.

Two kinds of tasks: source images and an appearance map computed from them (``--style``; the right answer is known), and
real pairs in two folders. ``--held-out`` of them are kept from every cell, with ``--score-split`` a split of their own; of
real pairs, variants of an emoji in skin tone or gender and near duplicates go together. The source models are given; every
method adapts the same ones. Baselines are scored at each of ``--checkpoints`` and stand at their best kernel distance, which
favours them; the paired systems at their fixed schedule.
"""

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import torch
from _machine import machine_facts
from _paired_baselines import BASELINES
from _paired_methods import ABLATIONS, MISPAIRED, RECIPES, SYSTEMS, check_methods, needs, settings_of, trained
from _paired_pack import Pack
from _paired_report import report, write_page
from _paired_scores import COLUMNS, score
from torch import Tensor

from lowshotgan.data.appearance import STYLES
from lowshotgan.data.images import to_pil

CELLS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "paired"
TWINS = range(12)
BATCH = 50


def main(arguments: list[str] | None = None) -> str:
    """Run what is missing and return the table."""
    options = parse(arguments)
    began, pack = time.perf_counter(), None
    for method, k, draw, seed in cells(options):
        plain = re.sub(r"[^a-z0-9.]+", "_", method)
        name = f"{options.task}--{plain}--k{k}-draw{draw}-seed{seed}"
        path = options.output / f"{name}.json"
        if path.exists():
            continue
        if time.perf_counter() - began > options.budget * 60:
            break
        for folder in (options.output, options.work):
            folder.mkdir(parents=True, exist_ok=True)
        pack = pack or Pack(options)
        found = run_cell(method, pack, options, k=k, draw=draw, seed=seed, name=name)
        facts = {"task": options.task, "method": method, "k": k, "draw": draw, "seed": seed, **found}
        facts |= {
            "samples": options.samples,
            "model": Path(options.models[needs(method)]).name,
            "machine": machine_facts(),
        }
        facts |= (
            {"batch": options.baseline_batch} if method in BASELINES else {"set": settings_of(method, options.changes)}
        )
        facts["metrics"] = for_a_card(found, name, options.samples)
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    table = report(options.output)
    print(table)
    if options.page:
        write_page(options.output, options.page, options.work)
    return table


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="source images: folder, zip or folder of idx files")
    parser.add_argument("--style", choices=sorted(STYLES), default="line", help="appearance map of --data")
    parser.add_argument("--pairs", help="SOURCE,TARGET: two folders or zips with equal names, instead of --data")
    parser.add_argument("--task", help="name of the task in the table; by default the style, or 'pairs'")
    parser.add_argument("--classes", default="", help="use these classes alone; with them class agreement is measured")
    parser.add_argument("--split", help="part of an idx folder to learn from")
    parser.add_argument("--score-split", help="part of an idx folder to score on")
    parser.add_argument("--fit", choices=["crop", "pad"], default="crop")
    parser.add_argument("--background", default="255,255,255")
    parser.add_argument("--no-enlarge", action="store_true")
    parser.add_argument(
        "--models", default="", help=f"NAME=MODEL with commas between: {', '.join(SYSTEMS)}, cdc (a StyleGAN2)"
    )
    parser.add_argument(
        "--methods", default="", help="of " + ", ".join((*SYSTEMS, *BASELINES, *RECIPES)) + "; all that have a model"
    )
    parser.add_argument("--ablations", action="store_true", help="also the variants of the systems, for K = 10")
    parser.add_argument("--shuffle", action="store_true", help="also the systems with wrongly paired shots, K above 1")
    parser.add_argument("--shots", default="1,5,10,30")
    parser.add_argument("--draws", type=int, default=3, help="of the shots")
    parser.add_argument("--seeds", type=int, default=2, help="of the training")
    parser.add_argument("--checkpoints", default="100,300,600", help="steps at which baselines are scored")
    parser.add_argument("--joint-checkpoints", default="500,1000,2000", help="the same for cogan and unit")
    parser.add_argument("--baseline-batch", type=int, default=16, help="images per step of the baselines")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--extractor", default="auto")
    parser.add_argument(
        "--set", dest="changes", action="append", default=[], help="METHOD.NAME=VALUE of a fine-tuning"
    )
    parser.add_argument("--budget", type=float, default=float("inf"), help="begin no cell after so many minutes")
    parser.add_argument("--page", type=Path, help="Markdown page to write, with its pictures beside it")
    parser.add_argument("--output", type=Path, default=CELLS, help="folder of the cells")
    parser.add_argument("--work", type=Path, default=Path("runs/paired"), help="folder of runs and pictures")
    options = parser.parse_args(arguments)
    if options.data and options.pairs:
        parser.error("give either --data or --pairs")
    options.models = dict(entry.split("=", 1) for entry in options.models.split(",") if entry)
    options.methods = [name.strip() for name in options.methods.split(",") if name.strip()]
    wrong = check_methods(options.methods, options.models, options.changes)
    if wrong:
        parser.error(wrong)
    options.task = options.task or ("pairs" if options.pairs else options.style)
    return options


def cells(options: argparse.Namespace) -> Iterator[tuple[str, int, int, int]]:
    """Method, K, draw and seed: whole rounds of all methods, so that a run that is stopped compares them."""
    if not (options.data or options.pairs):
        return
    known = options.methods or [*SYSTEMS, *BASELINES, *RECIPES]
    methods = [name for name in known if needs(name) in options.models]
    systems = [name for name in SYSTEMS if name in options.models]
    shots = [int(k) for k in options.shots.split(",")]
    for draw, seed, k in product(range(options.draws), range(options.seeds), shots):
        variants = [name for name in ABLATIONS if options.ablations and k == 10 and needs(name) in systems]
        variants += [f"{name}[{MISPAIRED}]" for name in systems if options.shuffle and k > 1]
        yield from ((method, k, draw, seed) for method in [*methods, *variants])


def run_cell(
    method: str, pack: Pack, options: argparse.Namespace, *, k: int, draw: int, seed: int, name: str
) -> dict[str, Any]:
    """Fine-tune one method on one draw of the shots and score it."""
    shots = pack.shots(k, draw)
    began = time.perf_counter()
    best: dict[str, Any] | None = None
    tried = {}
    for steps, draw_twins, more in trained(method, pack, options, shots, seed, options.work / "runs" / name):
        seconds = time.perf_counter() - began
        source, target = twins(draw_twins, options.samples)
        found = score(source, target, shots["target"], pack.reference) | more | {"seconds": round(seconds)}
        tried[steps] = round(found["KD"], 4)
        if best is None or found["KD"] < best["KD"]:
            best = found | {"steps": steps}
            picture(source, target).save(options.work / f"{name}.png")
    assert best is not None
    return best | {"KD by steps": tried, "picture": f"{name}.png"}


def for_a_card(found: Mapping[str, Any], cell: str, samples: int) -> list[dict[str, Any]]:
    """The scores as ``recipes/publish.py`` takes them."""
    told = {"n": samples, "reference": "held-out pairs", "protocol": f"paired/{cell}/fake{samples}"}
    return [{"name": name, "value": round(found[name], 4), **told} for name in COLUMNS if name in found]


def twins(draw: Any, count: int) -> tuple[Tensor, Tensor]:
    """Source and target images ``(N, 3, R, R)`` uint8 of seeds 0 to N - 1."""
    parts = [draw(list(range(first, min(first + BATCH, count)))) for first in range(0, count, BATCH)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def picture(source: Tensor, target: Tensor) -> Any:
    """Source twins above target twins of seeds 0 to 11."""
    rows = [torch.cat(list(one[: len(TWINS)]), dim=2) for one in (source, target)]
    return to_pil(torch.cat(rows, dim=1)[None])[0]


if __name__ == "__main__":
    main()
