"""Compare systems that learn from K pairs, on a target whose appearance map is known.

    python examples/draw_pairs.py --help          # the maps
    python benchmarks/paired.py --data avatars.zip --models lado=runs/lado,genho=runs/genho --output runs/paired

One cell is one model, K, draw of the shots and seed. The source images are split once: ``--held-out`` of them, mapped, are
the real target images that no cell learns from. Each finished cell is a JSON file in the output folder, so a run can be
stopped and resumed; the table is made of whatever is there. A cell takes one fine-tuning (minutes on a GPU, with the
defaults an hour and more at 64 px on a CPU) and the drawing of ``--samples`` twins.

Columns: KD (kernel distance to the held-out images), oracle (KD of the mapped source samples, the best that can be
reached), CR (consistency ratio of twins), diversity (perceptual, relative to held-out images), copying (below 0.5: copies).
"""

import argparse
import json
import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from lowshotgan import finetune, load
from lowshotgan.cli.options import overrides
from lowshotgan.data.appearance import STYLES, apply_appearance
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8, to_pil, to_uint8
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.intra_cluster import mean_pairwise
from lowshotgan.metrics.kernel import kernel_distance
from lowshotgan.metrics.pairs import consistency_ratio, copying_ratio
from lowshotgan.metrics.perceptual import perceptual_vectors

COLUMNS = ("KD", "oracle", "CR", "diversity", "copying")
DIVERSITY_SAMPLES = 200


def main(arguments: list[str] | None = None) -> str:
    """Run what is missing and return the table."""
    options = parse(arguments)
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    models = dict(entry.split("=", 1) for entry in options.models.split(","))
    shots = [int(k) for k in options.shots.split(",")]
    images = None
    for (name, path), k, draw, seed in product(models.items(), shots, range(options.draws), range(options.seeds)):
        cell = folder / f"{name}-{options.style}-k{k}-draw{draw}-seed{seed}.json"
        if cell.exists():
            continue
        if images is None:
            images = load_images(options.data, resolution=load(path).config.resolution, fit=options.fit).uint8()
        found = run_cell(path, images, options, k=k, draw=draw, seed=seed, folder=folder / "runs" / cell.stem)
        cell.write_text(json.dumps({"model": name, "k": k, "draw": draw, "seed": seed, **found}, indent=1))
    table = report(folder, options.style)
    print(table)
    return table


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder or zip of source images")
    parser.add_argument("--models", required=True, help="NAME=PATH of source models, with commas between")
    parser.add_argument("--style", choices=sorted(STYLES), default="line")
    parser.add_argument("--fit", choices=["crop", "pad"], default="crop")
    parser.add_argument("--shots", default="1,5,10,30")
    parser.add_argument("--draws", type=int, default=3, help="of the shots")
    parser.add_argument("--seeds", type=int, default=2, help="of the training")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--extractor", default="auto")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="NAME=VALUE of the fine-tuning")
    parser.add_argument("--output", default="runs/paired")
    return parser.parse_args(arguments)


def run_cell(
    path: str, images: Tensor, options: argparse.Namespace, *, k: int, draw: int, seed: int, folder: Path
) -> dict[str, Any]:
    """Fine-tune one model on one draw of the shots and score it."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    held_out, rest = images[order[: options.held_out]], images[order[options.held_out :]]
    chosen = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(draw))[:k]]
    targets = apply_appearance(chosen, options.style)
    began = time.perf_counter()
    result = finetune(
        path,
        pairs=(to_pil(chosen), to_pil(targets)),
        output_dir=folder,
        seed=seed,
        progress=False,
        **overrides(options.changes),
    )
    seconds = time.perf_counter() - began
    both = to_uint8(result.model.generate(options.samples, domain="both").tensor)
    source, target = both.chunk(2, dim=3)
    real = apply_appearance(held_out, options.style)
    return {"seconds": round(seconds), **score(source, target, real, targets, options)}


def score(
    source: Tensor, target: Tensor, real: Tensor, shots: Tensor, options: argparse.Namespace
) -> dict[str, float]:
    """The columns, from uint8 images ``(N, 3, R, R)``: source samples, their twins, held-out targets, shots."""
    extractor = load_extractor(options.extractor)
    mapped = apply_appearance(source, options.style)
    features = {name: extractor(one) for name, one in {"target": target, "real": real, "mapped": mapped}.items()}
    spread = [mean_pairwise(perceptual_vectors(extractor.maps, one[:DIVERSITY_SAMPLES])) for one in (target, real)]
    return {
        "KD": kernel_distance(features["real"], features["target"]).value,
        "oracle": kernel_distance(features["real"], features["mapped"]).value,
        "CR": consistency_ratio(from_uint8(mapped), from_uint8(target)),
        "diversity": spread[0] / spread[1],
        "copying": copying_ratio(features["target"], features["real"], extractor(shots)),
    }


def report(folder: Path, style: str) -> str:
    """A table of the mean (and deviation) of every column over the finished cells of a style."""
    cells = defaultdict(list)
    for path in sorted(folder.glob(f"*-{style}-k*.json")):
        found = json.loads(path.read_text())
        cells[found["model"], found["k"]].append(found)
    rows = [f"| model | K | cells | {' | '.join(COLUMNS)} |", "|" + "---|" * (3 + len(COLUMNS))]
    for (model, k), found in sorted(cells.items()):
        values = [_cell([one[name] for one in found]) for name in COLUMNS]
        rows.append(f"| {model} | {k} | {len(found)} | {' | '.join(values)} |")
    return "\n".join(rows)


def _cell(values: list[float]) -> str:
    return f"{mean(values):.3g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
