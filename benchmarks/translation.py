"""How well does a translator move drawn blobs into classes of colours it has never seen?

    python benchmarks/translation.py --arch funit_32 --steps 2000 --output docs/benchmarks

Time: about 16 minutes on one CPU core for funit_32 and 2,000 steps. The classes and the contents are drawn (see
``_petals.py``): 60 palettes to train on, 15 unseen ones to translate into. Judged are the averaged weights, untrained and
trained, by K exemplars of each unseen class, beside the contents as they came, and with the contents shuffled.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from _machine import machine_facts
from _petals import blobs, judge, palettes, photographed
from torch import Tensor

import lowshotgan as lsg
from lowshotgan.data.images import to_pil

SHOTS = (1, 5, 10, 20)
PER_CLASS = 30


def training_images(classes: int, *, side: int, seed: int) -> dict[str, list[Any]]:
    """Class name -> PIL images of the training palettes."""
    found = {}
    for label, palette in enumerate(palettes(classes, seed=seed)):
        masks = blobs(PER_CLASS, side=side, seed=seed * 1000 + label)
        found[f"{label:03d}"] = to_pil(photographed(masks, palette, seed=label))
    return found


def measure(model: Any, *, classes: int, contents: int, seed: int) -> dict[str, Any]:
    """All figures of one model; ``seed`` names the unseen palettes and contents."""
    side = model.config.resolution
    unseen, source = palettes(classes, seed=seed + 1), palettes(contents, seed=seed + 2)
    masks = blobs(contents, side=side, seed=seed + 3)
    content = photographed(masks, source, seed=seed + 4)
    labels = torch.arange(classes).repeat_interleave(contents)
    repeated = masks.repeat(classes, 1, 1, 1)
    found: dict[str, Any] = {"copy": asdict(judge(content.repeat(classes, 1, 1, 1), repeated, labels, unseen))}
    for k in SHOTS:
        drawn = translated(model, content, unseen, k, draw=0)
        found[f"K={k}"] = asdict(judge(drawn, repeated, labels, unseen))
        if k == 5:
            shuffled = repeated.unflatten(0, (classes, contents)).roll(1, 1).flatten(0, 1)
            found["shuffled"] = asdict(judge(drawn, shuffled, labels, unseen))
            found["swap_ratio"] = swap_ratio(model, content, unseen, drawn)
    own = model.translate(content, content[:, None]).tensor
    found["reconstruction"] = float((own - content).abs().mean())
    return found


def translated(model: Any, content: Tensor, unseen: Tensor, k: int, *, draw: int) -> Tensor:
    """Every content in every unseen class by K exemplars; other ``draw``s take other exemplars."""
    side = content.shape[-1]
    exemplars = {}
    for label, palette in enumerate(unseen):
        seed = 1 + label + 1009 * draw
        exemplars[str(label)] = photographed(blobs(k, side=side, seed=seed), palette, seed=seed)
    images: Tensor = model.translate(content, exemplars).tensor
    return images


def swap_ratio(model: Any, content: Tensor, unseen: Tensor, drawn: Tensor) -> float:
    """Change by exemplars of another class over change by other exemplars of the same class."""
    again = translated(model, content, unseen, 5, draw=1)
    other = drawn.unflatten(0, (len(unseen), len(content))).roll(1, 0).flatten(0, 1)
    return float((drawn - other).abs().mean() / (drawn - again).abs().mean().clamp(min=1e-8))


def compare(
    arch: str, options: dict[str, Any], *, classes: int, unseen: int, contents: int, seed: int
) -> dict[str, Any]:
    """Figures before and after training ``arch`` on drawn classes."""
    torch.manual_seed(seed)
    model = lsg.create_model(arch)
    before = measure(model, classes=unseen, contents=contents, seed=seed)
    data = training_images(classes, side=model.config.resolution, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        result = lsg.train(model, data, output_dir=folder, seed=seed, sampling="classes", **options)
    after = measure(result.model, classes=unseen, contents=contents, seed=seed)
    return {"arch": arch, "training": result.model.details["training"], "untrained": before, "trained": after}


def table(found: dict[str, Any]) -> str:
    """The figures of ``compare`` as Markdown."""
    rows = ["| | accuracy | IoU | L1 |", "| --- | --- | --- | --- |"]
    for state in ("untrained", "trained"):
        for name, values in found[state].items():
            if isinstance(values, dict):
                rows.append(
                    f"| {state}, {name} | {values['accuracy']:.3f} | {values['iou']:.3f} | {values['l1']:.3f} |"
                )
    now, then = found["trained"], found["untrained"]
    rows += [
        "",
        f"Reconstruction by the own code: {then['reconstruction']:.3f} untrained, {now['reconstruction']:.3f} ",
    ]
    rows[-1] += f"trained. Class swap over resampling: {now['swap_ratio']:.2f}."
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="funit_32")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--classes", type=int, default=60)
    parser.add_argument("--contents", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device")
    parser.add_argument("--output", type=Path, required=True)
    wish = parser.parse_args()
    options = {"steps": wish.steps, "batch_size": wish.batch_size, "device": wish.device}
    found = compare(wish.arch, options, classes=wish.classes, unseen=15, contents=wish.contents, seed=wish.seed)
    found["machine"] = machine_facts(wish.device or "cpu")
    wish.output.mkdir(parents=True, exist_ok=True)
    name = f"translation_{wish.arch}"
    (wish.output / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    text = f"# Translation of drawn blobs: {wish.arch}\n\n{table(found)}\n"
    (wish.output / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
