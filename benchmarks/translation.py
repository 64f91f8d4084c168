"""How well do the translators do what they are for? Tasks whose right answer is known, and photographs.

    python benchmarks/translation.py petals --model funit_32.petals_v1 --output docs/benchmarks
    python benchmarks/translation.py petals --model runs/coco --label petals_coco --changed COCO-FUNIT \\
        --output docs/benchmarks
    python benchmarks/translation.py glyphs --model runs/glyphs --data OMNIGLOT --output docs/benchmarks
    python benchmarks/translation.py digits --model egscit_28.mnist_v1 --data MNIST --output docs/benchmarks
    python benchmarks/translation.py many --model runs/many --data MNIST --output docs/benchmarks
    python benchmarks/translation.py classes --model funit_64.fruits_v1 --data FRUITS --output docs/benchmarks
    python benchmarks/translation.py classes --model runs/faces --data FACES --label faces --output docs/benchmarks
    python benchmarks/translation.py fitting --model funit_64.fruits_v1 --data FRUITS --output docs/benchmarks
    python benchmarks/translation.py fitting --model funit_64.fruits_v1 --data FRUITS --trains adain --label fitting_adain \\
        --output docs/benchmarks
    python benchmarks/translation.py page --output docs/benchmarks

Time: a few minutes of one CPU core each. ``petals`` draws blobs in 15 pairs of colours no model was trained on (see
``_petals.py``), ``glyphs`` coloured characters (``_glyphs.py``); ``digits`` and ``many`` paint one digit or ten in a picture
(``_digits.py``, ``_many_digits.py``); ``classes`` translates into the class folders of DATA that the model does not know
(by as many exemplars as half of the smallest class allows), ``fitting`` fits the model to K images of four of these
(``finetune`` with steps). Each writes a JSON file and a picture whose images are chosen by ``--seed``; ``page`` makes
``translation.md`` of them, beside the targets. A label such as ``petals_NAME`` adds a row to the table of variants of a
task. "untrained" is the same network with random weights.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import _digits
import _many_digits
import torch
from _glyphs import glyph_task
from _known_truth import SHOTS, Task, figures
from _machine import machine_facts
from _petals import petal_task
from _photographs import SHOWN, classes, fitting
from _translation_page import page
from torch import Tensor

import lowshotgan as lsg
from lowshotgan.data.classes import load_classes
from lowshotgan.data.images import image_grid
from lowshotgan.losses.reconstruction import gram_difference, layout_difference
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.translation import RealImages
from lowshotgan.systems.frozen_features import load_maps

COLUMNS = {"petals": SHOWN, "glyphs": SHOWN, "digits": 2 * SHOWN, "many": SHOWN, "classes": SHOWN + 1}


def petals(model: Any, *, classes: int, contents: int, seed: int) -> tuple[dict[str, Any], Tensor]:
    """All figures of one model on drawn blobs, and a picture's rows; ``seed`` names the unseen palettes and contents."""
    return known_truth(
        model, petal_task(classes=classes, contents=contents, side=model.config.resolution, seed=seed), seed
    )


def glyphs(model: Any, data: Path, *, classes: int, seed: int) -> tuple[dict[str, Any], Tensor]:
    """The same on coloured characters of Omniglot."""
    return known_truth(model, glyph_task(data, classes=classes, side=model.config.resolution, seed=seed), seed)


def known_truth(model: Any, task: Task, seed: int) -> tuple[dict[str, Any], Tensor]:
    """Figures of a task, and the rows of a picture: contents, then four classes, each above the right answers."""
    found, drawn = figures(model, task, seed=seed)
    rows = [task.content[:SHOWN]]
    for label in range(min(4, task.classes)):
        rows += [drawn[label * len(task.content) :][:SHOWN], task.truth(label)[:SHOWN]]
    return found, torch.cat(rows)


def digits(model: Any, data: Path, *, count: int, seed: int) -> tuple[dict[str, Any], Tensor]:
    """Figures of a model of two domains on painted digits, with parts of it left out when drawing, and a picture."""
    masks, labels = _digits.strokes(data, "test", range(count))
    others, _ = _digits.strokes(data, "test", range(count, 2 * count))
    known = _digits.strokes(data, "train", range(1000, 1600))
    generator = torch.Generator().manual_seed(seed)
    content = _digits.painted(masks, _digits.GREYS[torch.randint(2, (len(masks),), generator=generator)])
    chosen = torch.randint(len(_digits.COLOURS), (len(masks),), generator=generator)
    order = torch.randperm(len(others), generator=generator)
    exemplars = _digits.painted(others[order], _digits.COLOURS[chosen])
    other = "without mask" if model.config.mask else "with mask"
    ways: dict[str, dict[str, Any]] = {
        "full": {},
        other: {"mask": not model.config.mask},
        "without AdaIN": {"adain": "none"},
    }
    made = {name: model.translate(content, exemplars[:, None], **way).tensor for name, way in ways.items()}
    truth = _digits.painted(masks, _digits.COLOURS[chosen])
    judged = {"copy": content, "truth": truth, **made}
    found: dict[str, Any] = {
        name: asdict(_digits.judge(one, masks, labels, chosen, known)) for name, one in judged.items()
    }
    found["terms"] = seen_terms(content, exemplars, masks, _digits.COLOURS[chosen])
    shown = torch.randperm(len(masks), generator=generator)[: 2 * SHOWN]
    return found, torch.cat([one[shown] for one in (content, exemplars, made["full"], truth)])


def many_digits(model: Any, data: Path, *, count: int, seed: int) -> tuple[dict[str, Any], Tensor]:
    """Figures of a model of two domains on pictures of ten digits, with and without mask, and a picture."""
    content, exemplars = _many_digits.pairs(data, "test", range(60), count, seed=seed)
    given = content.painted()
    shown = exemplars.painted()
    truth = _many_digits.Scenes(content.masks, exemplars.colours, exemplars.ground)
    made = {
        name: model.translate(given, shown[:, None], mask=mask).tensor
        for name, mask in (("with mask", True), ("without mask", False))
    }
    judged = {"copy": given, **made, "truth": truth.painted()}
    found: dict[str, Any] = {name: _many_digits.judge(one, truth) for name, one in judged.items()}
    full = made["with mask" if model.config.mask else "without mask"]
    return found, torch.cat([one[:SHOWN] for one in (given, shown, full, truth.painted())])


def seen_terms(content: Tensor, exemplars: Tensor, masks: Tensor, colours: Tensor) -> dict[str, Any]:
    """Semantic and style differences, as the training counts them, of the right answers and of two wrong ones: the ground
    alone, and stroke and ground exchanged."""
    features = load_maps("auto", content.device)
    layout, manner = features.maps(content), features.maps(exemplars)
    shown = {"right": masks, "blank": torch.zeros_like(masks), "exchanged": 1 - masks}
    found: dict[str, Any] = {"features": features.name}
    for name, strokes in shown.items():
        maps = features.maps(_digits.painted(strokes, colours))
        semantic, style = layout_difference(maps, layout).mean(), gram_difference(maps, manner).mean()
        found[name] = {"semantic": float(semantic), "style": float(style)}
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["petals", "glyphs", "digits", "many", "classes", "fitting", "page"])
    parser.add_argument("--model", help="weights or run folder")
    parser.add_argument(
        "--data", type=Path, help="MNIST's idx files (digits, many), Omniglot (glyphs), or class folders"
    )
    parser.add_argument(
        "--count",
        type=int,
        default=0,
        help="contents (petals, many: 100, digits: 60 of each, classes: 1500, fitting: 40)",
    )
    parser.add_argument("--per-class", type=int, default=100, help="real images of a class, for classes")
    parser.add_argument("--trains", default="code", help="for fitting: code, adain, class or decoder")
    parser.add_argument(
        "--source", help="for fitting: folder of class folders that hold the others; else drawn images do"
    )
    parser.add_argument("--steps", type=int, default=60, help="for fitting")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--label", help="of the files, translation_LABEL; the task unless given")
    parser.add_argument("--changed", help="what is other in this model, in words, for the rows of variants")
    parser.add_argument("--output", type=Path, required=True)
    wish = parser.parse_args(arguments)
    wish.output.mkdir(parents=True, exist_ok=True)
    if wish.task == "page":
        (wish.output / "translation.md").write_text(page(wish.output), encoding="utf-8")
        return
    model = lsg.load(wish.model)
    found, picture = run(wish.task, model, wish)
    name = f"translation_{wish.label or wish.task}"
    about = {"changed": wish.changed} if wish.changed else {}
    about |= {
        "model": wish.model,
        "training": model.details.get("training"),
        "seed": wish.seed,
        "machine": machine_facts(),
    }
    (wish.output / f"{name}.json").write_text(json.dumps({**about, **found}, indent=1) + "\n", encoding="utf-8")
    if picture is not None:
        image_grid(picture, COLUMNS[wish.task]).save(wish.output / f"{name}.png", optimize=True)
    print(json.dumps(found, indent=1))


def run(task: str, model: Any, wish: argparse.Namespace) -> tuple[dict[str, Any], Tensor | None]:
    """The figures of a task and the images of its picture."""
    seed = wish.seed
    if task == "digits":
        return digits(model, wish.data, count=wish.count or 60, seed=seed)
    if task == "many":
        return many_digits(model, wish.data, count=wish.count or 100, seed=seed)
    if task == "fitting":
        moving = {"steps": wish.steps, "trains": wish.trains, "source": wish.source}
        return fitting(model, wish.data, count=wish.count or 40, seed=seed, **moving), None
    torch.manual_seed(seed)
    fresh = untrained(model)
    if task == "classes":
        return photographs(model, fresh, wish)
    if task == "petals":
        drawn = [petals(one, classes=15, contents=wish.count or 100, seed=seed) for one in (fresh, model)]
    else:
        drawn = [glyphs(one, wish.data, classes=30, seed=seed) for one in (fresh, model)]
    return {"untrained": drawn[0][0], "trained": drawn[1][0]}, drawn[1][1]


def photographs(model: Any, fresh: Any, wish: argparse.Namespace) -> tuple[dict[str, Any], Tensor]:
    """The figures of a model and of the same networks untrained on class folders, and the images of a picture."""
    folders = load_classes(wish.data, resolution=model.config.resolution)
    images = {name: folders.of_class(name)[: wish.per_class] for name in folders.classes}
    real, count = RealImages(load_extractor("auto"), images), wish.count or 1500
    before, _ = classes(fresh, real, count=count, seed=wish.seed, shots=(5,), controls=False)
    fewest = min(len(real.fitted(name)) for name in real.images)  # exemplars are of the half that does not score
    after, picture = classes(model, real, count=count, seed=wish.seed, shots=[k for k in SHOTS if k <= fewest])
    return {"untrained": before, "trained": after}, picture


def untrained(model: Any) -> Any:
    """The same networks with random weights."""
    fresh = type(model)(model.config, arch=model.arch)
    fresh.details["classes"] = model.classes
    return fresh.eval()


if __name__ == "__main__":
    main()
