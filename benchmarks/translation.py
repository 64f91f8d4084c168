"""How well do the translators do what they are for? Tasks whose right answer is known, and one of photographs.

    python benchmarks/translation.py petals --model funit_32.petals_v1 --output docs/benchmarks
    python benchmarks/translation.py digits --model runs/digits --data MNIST --output docs/benchmarks
    python benchmarks/translation.py classes --model funit_64.fruits_v1 --data FRUITS --output docs/benchmarks
    python benchmarks/translation.py classes --model runs/faces --data FACES --label faces --output docs/benchmarks
    python benchmarks/translation.py fitting --model funit_64.fruits_v1 --data FRUITS --output docs/benchmarks
    python benchmarks/translation.py page --output docs/benchmarks

Time: a few minutes of one CPU core each. ``petals`` draws blobs in 15 pairs of colours no model was trained on (see
``_petals.py``), ``digits`` paints digits (see ``_digits.py``), ``classes`` translates into the class folders of DATA that
the model does not know (by as many exemplars as half of the smallest class allows), ``fitting`` moves the codes of four of
these to K images (``finetune`` with steps). Each writes a JSON file and a picture whose images are chosen by ``--seed``;
``page`` makes ``translation.md`` of them, beside the targets. "untrained" is the same network with random weights.
"""

import argparse
import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import _digits
import torch
from _machine import machine_facts
from _petals import blobs, ideal, judge, palettes, photographed
from _translation_page import page
from torch import Tensor

import lowshotgan as lsg
from lowshotgan.data.classes import load_classes
from lowshotgan.data.images import from_uint8, image_grid, to_pil, to_uint8
from lowshotgan.losses.reconstruction import gram_difference, layout_difference
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.kernel import kernel_distance
from lowshotgan.metrics.translation import RealImages, Translations, layout_distance, measure_translation, pairing
from lowshotgan.systems.frozen_features import load_maps
from lowshotgan.systems.translation_evaluation import Target, evaluate_translator

SHOTS = (1, 5, 10, 20)
SHOWN = 8


def petals(model: Any, *, classes: int, contents: int, seed: int) -> tuple[dict[str, Any], Tensor]:
    """All figures of one model on drawn blobs, and a picture's rows; ``seed`` names the unseen palettes and contents."""
    side = model.config.resolution
    unseen, source = palettes(classes, seed=seed + 1), palettes(contents, seed=seed + 2)
    masks = blobs(contents, side=side, seed=seed + 3)
    content = photographed(masks, source, seed=seed + 4)
    labels = torch.arange(classes).repeat_interleave(contents)
    repeated = masks.repeat(classes, 1, 1, 1)
    found: dict[str, Any] = {"copy": asdict(judge(content.repeat(classes, 1, 1, 1), repeated, labels, unseen))}
    rows = [content[:SHOWN]]
    for k in SHOTS:
        drawn = translated(model, content, unseen, k, draw=0)
        found[f"K={k}"] = asdict(judge(drawn, repeated, labels, unseen))
        if k == 5:
            shuffled = repeated.unflatten(0, (classes, contents)).roll(1, 1).flatten(0, 1)
            found["shuffled"] = asdict(judge(drawn, shuffled, labels, unseen))
            found["swap_ratio"] = swap_ratio(model, content, unseen, drawn)
            for label in range(4):
                rows += [drawn[label * contents :][:SHOWN], ideal(masks[:SHOWN], unseen[label]) * 2 - 1]
    own = model.translate(content, content[:, None]).tensor
    found["reconstruction"] = float((own - content).abs().mean())
    return found, torch.cat(rows)


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


def classes(
    model: Any, real: RealImages, *, count: int, seed: int, shots: Sequence[int] = SHOTS, controls: bool = True
) -> tuple[dict[str, Any], Tensor]:
    """Figures of a model on class folders by the number of exemplars, and a picture; with ``controls`` also those of copied
    contents, of other contents and of other exemplars."""
    without = [name for name in real.images if name not in (model.classes or ())]
    pool = torch.cat([one for name, one in real.images.items() if name not in without])
    found: dict[str, Any] = {"unseen": without}
    targets = [Target(name, pool) for name in without]
    for k in shots:
        report = evaluate_translator(model, targets, real, shots=k, n=count, seed=seed)
        found[f"K={k}"] = {key: score.value for key, score in report.scores.items()}
        found["protocol"] = report.protocol.id
    if controls:
        found |= _controls(model, real, pool, without, count // len(without), seed)
    own = from_uint8(pool[:: max(1, len(pool) // 200)])
    found["reconstruction"] = float((model.translate(own, own[:, None]).tensor - own).abs().mean())
    picked = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))[:SHOWN]
    content = from_uint8(pool[picked])
    rows = [torch.cat([torch.ones_like(content[:1]), content])]
    for name in without:
        exemplars = from_uint8(real.fitted(name)[:5])
        rows.append(torch.cat([exemplars[:1], model.translate(content, exemplars).tensor]))
    return found, torch.cat(rows)


def fitting(model: Any, data: Path, *, count: int, seed: int, steps: int = 60) -> dict[str, Any]:
    """What moving a class's code to its K images does to other images of the class, and to translations into it.

    Held-out images of the class, redrawn by its code, should be themselves (mean absolute difference, in [0, 2]); the
    kernel distance is that of ``count`` translations from these images.
    """
    folders = load_classes(data, resolution=model.config.resolution)
    unseen = [name for name in folders.classes if name not in (model.classes or ())]
    chosen = torch.randperm(len(unseen), generator=torch.Generator().manual_seed(seed))[:4].tolist()
    pool = torch.cat([folders.of_class(name)[::25] for name in folders.classes if name in (model.classes or ())])
    network, found = load_extractor("auto"), dict[str, Any]()
    for k, name in itertools.product((1, 5), (unseen[index] for index in chosen)):
        images = folders.of_class(name)
        shots, held = images[::2][:k], images[1::2]
        rows, _ = pairing(count, 0, len(pool), k, k)
        with tempfile.TemporaryDirectory() as place:
            fitted = lsg.finetune(
                model,
                to_pil(from_uint8(shots)),
                output_dir=place,
                steps=steps,
                seed=seed,
                progress=False,
                precision="fp32",
            ).model
        codes = {"encoded": model.encode_exemplars(from_uint8(shots)), "fitted": fitted.class_code}
        for way, system in (("encoded", model), ("fitted", fitted)):
            content = from_uint8(torch.cat([shots, held, pool[rows]]))
            parts = system.translate(content, codes[way]).tensor.split([k, len(held), count])
            values = {
                "shots": float((parts[0] - from_uint8(shots)).abs().mean()),
                "held_out": float((parts[1] - from_uint8(held)).abs().mean()),
                "kernel": kernel_distance(network(held), network(to_uint8(parts[2])), seed=seed).value,
            }
            found.setdefault(f"K={k}", {}).setdefault(name, {})[way] = values
    return {"steps": steps, "kinds": found}


def _controls(model: Any, real: RealImages, pool: Tensor, targets: list[str], each: int, seed: int) -> dict[str, Any]:
    """Copies of the content scored as translations; layouts of shuffled contents; class swap over resampling."""
    copies, own, other, swaps, repeats = {}, [], [], [], []
    codes = {name: model.encode_each(from_uint8(real.fitted(name))) for name in targets}
    for number, name in enumerate(targets):
        rows, _ = pairing(each, number, len(pool), len(codes[name]), 5)
        content = pool[rows]
        copies[name] = Translations(content, content)
        following = targets[(number + 1) % len(targets)]
        drawn = {
            which: model.redraw(from_uint8(content), codes[of][part].mean(dim=0)[None])
            for which, of, part in (
                ("own", name, slice(0, 5)), ("again", name, slice(5, 10)), ("other", following, slice(0, 5))
            )
        }  # fmt: skip
        swaps.append(float((drawn["own"] - drawn["other"]).abs().mean()))
        repeats.append(float((drawn["own"] - drawn["again"]).abs().mean()))
        images_of = to_uint8(drawn["own"])
        own.append(layout_distance(real.network, images_of, content))
        other.append(layout_distance(real.network, images_of, content.roll(1, 0)))
    report = measure_translation(copies, real, seed=seed)
    return {
        "copy": {key: score.value for key, score in report.scores.items()},
        "layout": {"own": float(torch.cat(own).mean()), "shuffled": float(torch.cat(other).mean())},
        "swap_ratio": sum(swaps) / max(sum(repeats), 1e-8),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["petals", "digits", "classes", "fitting", "page"])
    parser.add_argument("--model", help="weights or run folder")
    parser.add_argument("--data", type=Path, help="folder of MNIST's idx files, or class folders")
    parser.add_argument(
        "--count", type=int, default=0, help="contents (petals: 100, digits: 60 of each, classes: 1500)"
    )
    parser.add_argument("--per-class", type=int, default=100, help="real images of a class, for classes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--label", help="of the files, translation_LABEL; the task unless given")
    parser.add_argument("--output", type=Path, required=True)
    wish = parser.parse_args(arguments)
    wish.output.mkdir(parents=True, exist_ok=True)
    if wish.task == "page":
        (wish.output / "translation.md").write_text(page(wish.output), encoding="utf-8")
        return
    model = lsg.load(wish.model)
    found, picture = run(wish.task, model, wish)
    columns = {"fitting": 1, "petals": SHOWN, "digits": 2 * SHOWN, "classes": SHOWN + 1}[wish.task]
    name = f"translation_{wish.label or wish.task}"
    about = {
        "model": wish.model,
        "training": model.details.get("training"),
        "seed": wish.seed,
        "machine": machine_facts(),
    }
    (wish.output / f"{name}.json").write_text(json.dumps({**about, **found}, indent=1) + "\n", encoding="utf-8")
    if len(picture):
        image_grid(picture, columns).save(wish.output / f"{name}.png", optimize=True)
    print(json.dumps(found, indent=1))


def run(task: str, model: Any, wish: argparse.Namespace) -> tuple[dict[str, Any], Tensor]:
    """The figures of a task and the images of its picture."""
    if task == "digits":
        return digits(model, wish.data, count=wish.count or 60, seed=wish.seed)
    if task == "fitting":
        return fitting(model, wish.data, count=wish.count or 40, seed=wish.seed), torch.empty(0)
    torch.manual_seed(wish.seed)
    fresh = untrained(model)
    if task == "petals":
        options = {"classes": 15, "contents": wish.count or 100, "seed": wish.seed}
        (before, _), (after, picture) = petals(fresh, **options), petals(model, **options)
    else:
        folders = load_classes(wish.data, resolution=model.config.resolution)
        real = RealImages(
            load_extractor("auto"), {name: folders.of_class(name)[: wish.per_class] for name in folders.classes}
        )
        count = wish.count or 1500
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
