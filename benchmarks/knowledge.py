"""What KG-GAN's knowledge is worth: categories without images, and colours without images.

    python benchmarks/knowledge.py zero-shot --data avatars_adventurer_128.zip --output runs/knowledge
    python benchmarks/knowledge.py recolour --data avatars_adventurer_128.zip --test hair_recolor_128.zip
    python benchmarks/knowledge.py shapes
    python benchmarks/knowledge.py embedding
    python benchmarks/knowledge.py heads
    python benchmarks/knowledge.py report --output runs/knowledge --page docs/benchmarks/knowledge.md

Every finished cell (one arm, one seed) is a JSON file in the output folder, with a sheet of pictures beside it, so a run can
be stopped and resumed; the page is made of whatever is there, and names what is not. ``--models NAME=PATH`` scores trained
models as further arms, without training. ``shapes``, ``embedding`` and ``heads`` draw their own data.

``zero-shot`` (faces of a pack) and ``shapes`` have these arms, all with the same data, networks, steps and seeds:
    full               embedding vectors and the semantic losses
    no_semantic        embedding vectors, knowledge_weight = 0: the same network without the semantic losses
    one_hot            categories as one-hot vectors, knowledge_weight = 0: no knowledge at all
    one_hot_semantic   one-hot vectors with the semantic losses
    full_hard, no_semantic_hard   the same on a split where a colour is seen with two values of the other attribute only
    open_world         three categories are not even listed in training, and are given as vectors afterwards
``embedding`` trains the embedding network alone:
    nuisance           with the usual transform for each group of attributes
    pooled             without
    naive              without, and with a flattened layer instead of a mean over positions
``recolour`` (faces of a pack) and ``heads`` (painted heads) have these arms:
    full               as published
    no_g2              colour_weight = 0: G2 learns nothing, so the seen category nearest to the colour is asked of G1
    no_cycle           no way back to the input
    no_d               nothing is learnt from the discriminator
and beside each: nearest (G1 of the same model, asked for the seen category nearest to the colour), identity (the image as
it is), flat (the model's mask filled with the colour).

The judge of ``zero-shot`` and ``shapes`` is a classifier of both attributes that this script trains on one half of the real
images of all categories, unseen ones included, and tests on the other half; no generator shares weights with it.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from _knowledge_embedding import EMBEDDING_ARMS, embedding_cell
from _knowledge_recolour import RECOLOUR_ARMS, painted_test, recolour_cell, recolour_images
from _knowledge_report import card_metrics, page
from _knowledge_worlds import avatars, shapes
from _knowledge_zero_shot import ZERO_SHOT_ARMS, Judge, zero_shot_cell
from _machine import describe, machine_facts

from lowshotgan.checks import one_of
from lowshotgan.cli.options import overrides
from lowshotgan.errors import LowshotganError

HERE = Path(__file__).parent
RECIPES = HERE.parent / "recipes"
ARMS = {
    "zero-shot": ZERO_SHOT_ARMS,
    "shapes": ZERO_SHOT_ARMS,
    "embedding": EMBEDDING_ARMS,
    "recolour": RECOLOUR_ARMS,
    "heads": RECOLOUR_ARMS,
}
CELLS: dict[str, Any] = {
    "zero-shot": zero_shot_cell,
    "shapes": zero_shot_cell,
    "embedding": embedding_cell,
    "recolour": recolour_cell,
    "heads": recolour_cell,
}


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing of one part, or write the page."""
    options = parse(arguments)
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if options.part == "report":
            text = page(folder, {part: list(arms) for part, arms in ARMS.items()}, beside=options.page)
            if options.page:
                options.page.write_text(text, encoding="utf-8")
            for cell in sorted(folder.glob("*-published-seed0.json")) if options.metrics else []:
                options.metrics.mkdir(parents=True, exist_ok=True)
                listed = card_metrics(json.loads(cell.read_text(encoding="utf-8")))
                (options.metrics / cell.name).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
            print(text)
            return 0
        run_part(options, folder)
    except LowshotganError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*ARMS, "report"])
    parser.add_argument("--data", type=Path, help="training images: avatars_adventurer_128.zip")
    parser.add_argument("--test", type=Path, help="hair_recolor_128.zip, with masks and true recolourings")
    parser.add_argument("--arms", default="", help="with commas between; all by default, 'none' for --models only")
    parser.add_argument("--models", default="", help="NAME=PATH of trained models, with commas between")
    parser.add_argument("--seeds", default="0", help="with commas between")
    parser.add_argument("--steps", type=int, help="adversarial steps of a cell")
    parser.add_argument("--resolution", type=int, help="of the cells that are trained")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        help="NAME=VALUE: another setting of the training; repeatable",
    )
    parser.add_argument("--extractor", default="lsg1", help="features of the kernel distance (zero-shot, shapes)")
    parser.add_argument("--samples", type=int, default=20, help="images of each category (zero-shot)")
    parser.add_argument("--output", default="runs/knowledge")
    parser.add_argument("--metrics", type=Path, help="folder for what the cards of the arm 'published' say")
    parser.add_argument("--page", type=Path, help="where the report goes")
    options = parser.parse_args(arguments)
    options.settings = overrides(options.settings)
    if options.part in ("zero-shot", "recolour") and options.data is None:
        parser.error("--data is needed")
    if options.part == "recolour" and options.test is None:
        parser.error("--test is needed")
    return options


def run_part(options: argparse.Namespace, folder: Path) -> None:
    """Every cell of one part that has no file yet."""
    models = dict(entry.split("=", 1) for entry in options.models.split(",") if entry)
    known = ARMS[options.part]
    names = [] if options.arms == "none" else [one_of("arm", name, known) for name in options.arms.split(",") if name]
    names = names if names or options.arms == "none" else list(known)
    wanted = [(name, None, 0) for name in models]
    wanted += [(name, known[name], int(seed)) for seed in options.seeds.split(",") for name in names]
    shared: Any = None
    for name, arm, seed in wanted:
        cell = folder / f"{options.part}-{name}-seed{seed}.json"
        if cell.exists():
            continue
        if shared is None:
            shared = prepare(options, folder)
        run = folder / "runs" / cell.stem
        found, sheet = CELLS[options.part](shared, options, arm, models.get(name), seed=seed, run=run)
        about = {"part": options.part, "arm": name, "seed": seed, "trained": arm is not None}
        facts = describe(machine_facts())
        cell.write_text(json.dumps({**about, **found, "machine": facts}, indent=1) + "\n", encoding="utf-8")
        if sheet is not None:
            sheet.save(cell.with_suffix(".png"))
        print(cell, json.dumps(found))


def prepare(options: argparse.Namespace, folder: Path) -> Any:
    """What all cells of a part share: the judge, or the test images."""
    torch.manual_seed(0)
    if options.part == "recolour":
        return recolour_images(options.test)
    if options.part == "heads":
        return painted_test(options.resolution or 32)
    world = avatars(options.data) if options.part == "zero-shot" else shapes()
    if options.part == "embedding":
        return world
    kept = "judge.pt" if options.part == "zero-shot" else "judge-shapes.pt"
    return world, Judge.trained(world, folder / kept)


if __name__ == "__main__":
    sys.exit(main())
