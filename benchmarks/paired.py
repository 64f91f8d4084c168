"""Compare systems that learn from K pairs with one another, with baselines, and with what a perfect one would reach.

    python benchmarks/paired.py --data fashion_mnist --classes 0,2,4,6 --split train --score-split test --fit pad \
        --background 0,0,0 --no-enlarge --style line --models lado=runs/lado,genho=runs/genho --output runs/paired
    python benchmarks/paired.py --pairs emoji/flat,emoji/shaded --fit pad --models ... --output runs/emoji

One cell is one method, K, draw of the shots and seed; it takes the seconds that the table tells. Each finished cell is a
JSON file and a picture of the twins of seeds 0 to 11 in the output folder, so a run can be stopped and resumed, and
``--budget`` stops it between cells. The table and the gates are made of whatever is there; what is not is "not run".

Two kinds of tasks: source images and an appearance map computed from them (``--style``; the right answer is known), and
real pairs in two folders. ``--held-out`` of them are kept from every cell, with ``--score-split`` a split of their own.
The source models are given; every method adapts the same ones. Baselines are scored at each of ``--checkpoints`` and
stand at their best kernel distance, which favours them; the paired systems at their fixed schedule.
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
from _paired_baselines import BASELINES, Draw, Task, run_baseline
from _paired_report import report, write_page
from _paired_scores import COLUMNS, Reference, gaps, score
from torch import Tensor

from lowshotgan import finetune, load
from lowshotgan.cli.options import overrides
from lowshotgan.data.appearance import STYLES, apply_appearance
from lowshotgan.data.dataset import ImageSet, load_images
from lowshotgan.data.images import to_pil, to_uint8
from lowshotgan.data.pairs import load_pairs
from lowshotgan.draws import latents_from_seeds
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.systems.paired import PairedSystem

SYSTEMS = ("lado", "genho")
RECIPES = ("cdc",)
ABLATIONS: dict[str, Mapping[str, Any]] = {
    "lado[parity]": {"preset": "parity"},
    "lado[lsg1]": {"perceptual": "lsg1"},
    "lado[disc]": {"perceptual": "disc"},
    "lado[no pair loss]": {"pair_weight": 0.0},
    "lado[pair_weight 0.01, normalised]": {"pair_weight": 0.01, "pair_norm": True},
    "lado[no cross term]": {"cross_weight": 0.0},
    "lado[no straight term]": {"straight_weight": 0.0},
    "lado[noise_adversarial]": {"noise_adversarial": True},
    "genho[parity]": {"preset": "parity"},
    "genho[lsg1]": {"perceptual": "lsg1"},
    "genho[disc]": {"perceptual": "disc"},
    "genho[target query]": {"prior_query": "target"},
    "genho[both queries]": {"prior_query": "both"},
    "genho[latents as found]": {"refine_steps": 0},
    "genho[no images from noise]": {"noise_adversarial": False},
    "genho[content at low rate]": {"train_content": "low_lr"},
    "genho[content trained]": {"train_content": "full"},
    "genho[step 3 of one update]": {"appearance_steps": 1},
    "genho[step 5 of one update]": {"steps": 1},
    "genho[bank of 1,000]": {"bank": 1000},
    "genho[bank of 100,000]": {"bank": 100_000},
}
"""Variants of the fine-tuning; those that need another source model are run by naming it in --models."""
TWINS = range(12)
BATCH = 50
LABELLED = 1000


def main(arguments: list[str] | None = None) -> str:
    """Run what is missing and return the table."""
    options = parse(arguments)
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    began, pack = time.perf_counter(), None
    for method, k, draw, seed in cells(options):
        plain = re.sub(r"[^a-z0-9.]+", "_", method)
        name = f"{options.task}--{plain}--k{k}-draw{draw}-seed{seed}"
        if (folder / f"{name}.json").exists():
            continue
        if time.perf_counter() - began > options.budget * 60:
            break
        pack = pack or Pack(options)
        found = run_cell(method, pack, options, k=k, draw=draw, seed=seed, name=name)
        facts = {"task": options.task, "method": method, "k": k, "draw": draw, "seed": seed, **found}
        facts["metrics"] = for_a_card(found, f"paired/{name}/fake{options.samples}")
        (folder / f"{name}.json").write_text(json.dumps(facts, indent=1))
    table = report(folder)
    print(table)
    if options.page:
        write_page(folder, options.page)
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
    parser.add_argument("--models", default="", help="NAME=MODEL with commas between: lado, genho, cdc (a StyleGAN2)")
    parser.add_argument("--methods", default="", help="of " + ", ".join((*SYSTEMS, *BASELINES, *RECIPES)))
    parser.add_argument("--ablations", action="store_true", help="also the variants of LaDo and GenHo, for K = 10")
    parser.add_argument("--shots", default="1,5,10,30")
    parser.add_argument("--draws", type=int, default=3, help="of the shots")
    parser.add_argument("--seeds", type=int, default=2, help="of the training")
    parser.add_argument("--checkpoints", default="100,300,600", help="steps at which baselines are scored")
    parser.add_argument("--joint-checkpoints", default="500,1000,2000", help="the same for cogan and unit")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--extractor", default="auto")
    parser.add_argument(
        "--set", dest="changes", action="append", default=[], help="METHOD.NAME=VALUE of a fine-tuning"
    )
    parser.add_argument("--budget", type=float, default=float("inf"), help="begin no cell after so many minutes")
    parser.add_argument("--page", type=Path, help="Markdown page to write, with its pictures beside it")
    parser.add_argument("--output", default="runs/paired")
    options = parser.parse_args(arguments)
    if bool(options.data) == bool(options.pairs):
        parser.error("give either --data or --pairs")
    options.models = dict(entry.split("=", 1) for entry in options.models.split(",") if entry)
    options.task = options.task or ("pairs" if options.pairs else options.style)
    return options


def cells(options: argparse.Namespace) -> Iterator[tuple[str, int, int, int]]:
    """Method, K, draw and seed: whole rounds of all methods, so that a run that is stopped compares them."""
    methods = options.methods.split(",") if options.methods else [*SYSTEMS, *BASELINES, *RECIPES]
    methods = [name for name in methods if needs(name) in options.models]
    shots = [int(k) for k in options.shots.split(",")]
    for draw, seed, k in product(range(options.draws), range(options.seeds), shots):
        variants = [name for name in ABLATIONS if options.ablations and k == 10 and needs(name) in options.models]
        yield from ((method, k, draw, seed) for method in [*methods, *variants])


def needs(method: str) -> str:
    """The source model that a method adapts."""
    return "genho" if method in BASELINES else method.partition("[")[0]


class Pack:
    """The images of a task: what may be learnt from, what scores, and how a shot is drawn."""

    def __init__(self, options: argparse.Namespace) -> None:
        resolutions = {load(path).config.resolution for path in options.models.values()}
        if len(resolutions) != 1:
            raise SystemExit(f"all --models must have one resolution, got {sorted(resolutions)}.")
        self.options, self.resolution = options, resolutions.pop()
        self.source, self.target = self._pairs() if options.pairs else (self._images(options.split), None)
        order = torch.randperm(len(self.source), generator=torch.Generator().manual_seed(0))
        unseen = order[: options.held_out]
        self.rest = order[options.held_out :].tolist()
        if options.score_split:
            unseen_images = self._images(options.score_split, k=options.held_out).uint8()
        else:
            unseen_images = self.source.uint8(unseen.tolist())
        style = None if options.pairs else options.style
        targets = self.target.uint8(unseen.tolist()) if self.target else apply_appearance(unseen_images, options.style)
        labelled = self._labelled() if options.classes and not options.pairs else None
        self.reference = Reference(load_extractor(options.extractor), unseen_images, targets, style, labelled)

    def shots(self, k: int, draw: int) -> dict[str, Tensor]:
        """``source`` and ``target``, ``(K, 3, R, R)`` uint8; a draw with a larger K contains those with a smaller one."""
        order = torch.randperm(len(self.rest), generator=torch.Generator().manual_seed(draw))
        chosen = [self.rest[number] for number in order[:k].tolist()]
        source = self.source.uint8(chosen)
        return {
            "source": source,
            "target": self.target.uint8(chosen) if self.target else apply_appearance(source, self.options.style),
        }

    def learnable(self, most: int = 5000) -> Tensor:
        """Source images that do not score."""
        return self.source.uint8(self.rest[:most])

    def _options(self) -> dict[str, Any]:
        background = tuple(int(level) for level in self.options.background.split(","))
        return {"fit": self.options.fit, "background": background, "enlarge": not self.options.no_enlarge}

    def _images(self, split: str | None, **more: Any) -> ImageSet:
        chosen: dict[str, Any] = {"split": split} if split else {}
        if self.options.classes:
            chosen["classes"] = [int(c) if c.isdigit() else c for c in self.options.classes.split(",")]
        return load_images(self.options.data, resolution=self.resolution, **self._options(), **(chosen | more))

    def _pairs(self) -> tuple[ImageSet, ImageSet]:
        source, target = self.options.pairs.split(",")
        found = load_pairs((source, target), resolution=self.resolution, **self._options())
        assert found.source is not None
        return found.source, found.target

    def _labelled(self) -> tuple[Tensor, Tensor]:
        """Up to 1,000 images of each class, none of which scores."""
        split = {"split": self.options.split} if self.options.split else {}
        names = [int(c) if c.isdigit() else c for c in self.options.classes.split(",")]
        parts = []
        for name in names:
            all_of_it = load_images(
                self.options.data, resolution=self.resolution, classes=[name], **self._options(), **split
            )
            parts.append(all_of_it.uint8(list(range(min(LABELLED, len(all_of_it))))))
        labels = torch.cat([torch.full((len(part),), number) for number, part in enumerate(parts)])
        return torch.cat(parts), labels


def run_cell(
    method: str, pack: Pack, options: argparse.Namespace, *, k: int, draw: int, seed: int, name: str
) -> dict[str, Any]:
    """Fine-tune one method on one draw of the shots and score it."""
    shots, folder = pack.shots(k, draw), Path(options.output)
    began = time.perf_counter()
    best: dict[str, Any] | None = None
    tried = {}
    for steps, draw_twins, more in trained(method, pack, options, shots, seed, folder / "runs" / name):
        seconds = time.perf_counter() - began
        source, target = twins(draw_twins, options.samples)
        found = score(source, target, shots["target"], pack.reference) | more | {"seconds": round(seconds)}
        tried[steps] = round(found["KD"], 4)
        if best is None or found["KD"] < best["KD"]:
            best = found | {"steps": steps}
            picture(source, target).save(folder / f"{name}.png")
    assert best is not None
    return best | {"KD by steps": tried, "picture": f"{name}.png"}


def for_a_card(found: Mapping[str, Any], protocol: str) -> list[dict[str, Any]]:
    """The scores as ``recipes/publish.py`` takes them."""
    return [{"name": name, "value": round(found[name], 4), "protocol": protocol} for name in COLUMNS if name in found]


def trained(
    method: str, pack: Pack, options: argparse.Namespace, shots: dict[str, Tensor], seed: int, folder: Path
) -> Iterator[tuple[Any, Any, dict[str, float]]]:
    """Steps, a function from seeds to twins, and further scores; one entry per checkpoint."""
    changes = overrides([text.partition(".")[2] for text in options.changes if text.split(".")[0] == needs(method)])
    common: dict[str, Any] = {"output_dir": folder, "seed": seed, "progress": False}
    if method in BASELINES:
        base = load(options.models["genho"])
        steps = options.joint_checkpoints if method in ("cogan", "unit") else options.checkpoints
        task = Task(base, pack.learnable(), shots, [int(n) for n in steps.split(",")], seed)
        for count, draw in run_baseline(method, task):
            yield count, by_seed(draw, base.z_dim), {}
    elif method in RECIPES:
        base = load(options.models[method])
        adapted = finetune(base, to_pil(shots["target"]), recipe=method, **common, **changes).model
        yield "as set", lambda seeds: tuple(to_uint8(one.generate(seeds=seeds).tensor) for one in (base, adapted)), {}
    else:
        changes = {**changes, **ABLATIONS.get(method, {})}
        pairs = tuple(to_pil(shots[name]) for name in ("source", "target"))
        model = finetune(options.models[needs(method)], pairs=pairs, **common, **changes).model
        found = gaps(content_encoder(model), shots, pack.reference)
        yield (
            "as set",
            lambda seeds: to_uint8(model.generate(seeds=seeds, domain="both").tensor).chunk(2, dim=3),
            found,
        )


def content_encoder(model: PairedSystem) -> Any:
    """From images in [-1, 1] to content codes ``(N, ...)``."""
    networks = model.generator.eval()
    if model.system == "lado":
        return lambda images: networks.content(images).mean
    return lambda images: networks.encoder(images)


def by_seed(draw: Draw, z_dim: int) -> Any:
    """The same from seeds, as uint8."""

    @torch.no_grad()
    def twins_of(seeds: list[int]) -> tuple[Tensor, ...]:
        return tuple(to_uint8(one.clamp(-1, 1)) for one in draw(latents_from_seeds(seeds, z_dim)))

    return twins_of


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
