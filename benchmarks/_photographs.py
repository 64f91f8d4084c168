"""Figures of a translator on class folders, whose right translations nobody knows, and of fitting it to a class."""

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from _known_truth import SHOTS, crop_ratio, interval, paired_gain
from torch import Tensor

import lowshotgan as lsg
from lowshotgan.data.classes import load_classes
from lowshotgan.data.images import from_uint8, to_pil, to_uint8
from lowshotgan.metrics.classifier import train_classifier
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.kernel import kernel_distance, polynomial_kernel
from lowshotgan.metrics.translation import RealImages, Translations, layout_distance, measure_translation, pairing
from lowshotgan.systems.translation_evaluation import Target, translate_into

SHOWN = 8
RESAMPLES = 200


def classes(
    model: Any, real: RealImages, *, count: int, seed: int, shots: Sequence[int] = SHOTS, controls: bool = True
) -> tuple[dict[str, Any], Tensor]:
    """Figures of a model on class folders by the number of exemplars, and a picture; with ``controls`` also those of copied
    contents, of other contents and of other exemplars."""
    without = [name for name in real.images if name not in (model.classes or ())]
    pool = torch.cat([one for name, one in real.images.items() if name not in without])
    found: dict[str, Any] = {"unseen": without}
    targets, made = [Target(name, pool) for name in without], dict[int, dict[str, Translations]]()
    for k in shots:
        made[k] = translate_into(model, targets, real, shots=k, n=count)
        report = measure_translation(made[k], real, seed=seed)
        found[f"K={k}"] = {key: score.value for key, score in report.scores.items()}
        found["protocol"] = report.protocol.id
    found["translations"] = sum(len(one.images) for one in made[shots[0]].values())
    if {1, 5} <= set(made):
        found["gain"] = gain(made[1], made[5], real, seed=seed)
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


def gain(
    one: Mapping[str, Translations], five: Mapping[str, Translations], real: RealImages, *, seed: int
) -> dict[str, dict[str, float]]:
    """What five exemplars change against one, over the same contents: top-1 among the targets and mean kernel distance, with
    the 95 % interval of a bootstrap over translations."""
    targets = sorted(one)
    known = [real.known[name] for name in targets]
    labels = torch.arange(len(targets)).repeat_interleave(torch.tensor([len(rows) for rows in known]))
    classifier = train_classifier(torch.cat(known), labels, len(targets))
    hits: list[list[Tensor]] = [[], []]
    changes, resampled = [], []
    for label, name in enumerate(targets):
        drawn = [real.network(made[name].images) for made in (one, five)]
        for which, embeddings in enumerate(drawn):
            hits[which].append((classifier.posteriors(embeddings).argmax(dim=1) == label).float())
        counts = _resampled(len(drawn[0]), seed=seed + label)
        first, second = (_unbiased(real.real[name], embeddings, counts) for embeddings in drawn)
        changes.append((second - first)[0])
        resampled.append((second - first)[1:])
    return {
        "top1_test": paired_gain(torch.cat(hits[0]), torch.cat(hits[1]), seed=seed),
        "kernel": interval(torch.stack(changes).mean(), torch.stack(resampled).mean(dim=0)),
    }


def _resampled(count: int, *, seed: int) -> Tensor:
    """``(1 + RESAMPLES, count)``: how often each translation was drawn, first once each."""
    drawn = torch.randint(count, (RESAMPLES, count), generator=torch.Generator().manual_seed(seed))
    counts = torch.zeros(RESAMPLES, count, dtype=torch.float64).scatter_add_(1, drawn, torch.ones_like(drawn).double())
    counts[counts.max(dim=1).values == count] = 1.0  # one image alone has no pairs
    return torch.cat([torch.ones(1, count, dtype=torch.float64), counts])


def _unbiased(real: Tensor, fake: Tensor, counts: Tensor) -> Tensor:
    """Kernel distances of resampled ``fake`` from ``real``, less what ``real`` alone decides; no image beside itself."""
    kernel, cross = polynomial_kernel(fake, fake), polynomial_kernel(real, fake).mean(dim=0)
    pairs = ((counts @ kernel) * counts).sum(dim=1) - counts**2 @ kernel.diagonal()
    return pairs / (len(fake) ** 2 - (counts**2).sum(dim=1)) - 2 * (counts @ cross) / len(fake)


def fitting(
    model: Any,
    data: Any,
    *,
    count: int,
    seed: int,
    steps: int = 60,
    trains: str = "code",
    source: str | None = None,
    shots: Sequence[int] = (1, 5),
) -> dict[str, Any]:
    """What fitting the model to K images of a class does to other images of the class, to translations into it, and to
    those into classes of the training.

    Held-out images of the class, redrawn by its code, should be themselves (mean absolute difference, in [0, 2]); the
    kernel distance is that of ``count`` translations from these images, ``layout`` what these lose of their content's
    (DIPD); ``others`` is how far ``count`` translations between classes of the training moved (mean absolute difference).
    """
    folders = load_classes(data, resolution=model.config.resolution)
    unseen = [name for name in folders.classes if name not in (model.classes or ())]
    chosen = torch.randperm(len(unseen), generator=torch.Generator().manual_seed(seed))[:4].tolist()
    pool = torch.cat([folders.of_class(name)[::25] for name in folders.classes if name in (model.classes or ())])
    network, found = load_extractor("auto"), dict[str, Any]()
    options = {"steps": steps, "trains": trains, "seed": seed, "progress": False, "precision": "fp32"}
    for k, name in itertools.product(shots, (unseen[index] for index in chosen)):
        images = folders.of_class(name)
        given, held = images[::2][:k], images[1::2]
        rows, _ = pairing(count, 0, len(pool), k, k)
        content = from_uint8(pool[rows])
        with tempfile.TemporaryDirectory() as place:
            images_given = to_pil(from_uint8(given))
            fitted = lsg.finetune(model, images_given, output_dir=place, source=source, **options).model
        codes = {"encoded": model.encode_exemplars(from_uint8(given)), "fitted": fitted.class_code}
        before = _between(model, content)
        for way, system in (("encoded", model), ("fitted", fitted)):
            shown = torch.cat([from_uint8(torch.cat([given, held])), content])
            parts = system.translate(shown, codes[way]).tensor.split([k, len(held), count])
            values = {
                "shots": float((parts[0] - from_uint8(given)).abs().mean()),
                "held_out": float((parts[1] - from_uint8(held)).abs().mean()),
                "kernel": kernel_distance(network(held), network(to_uint8(parts[2])), seed=seed).value,
                "others": float((_between(system, content) - before).abs().mean()),
                "layout": float(layout_distance(network, to_uint8(parts[2]), pool[rows]).mean()),
            }
            found.setdefault(f"K={k}", {}).setdefault(name, {})[way] = values
    return {"steps": steps, "trains": trains, "source": source is not None, "kinds": found}


def _between(system: Any, images: Tensor) -> Tensor:
    """Each image redrawn by the next but one."""
    drawn: Tensor = system.redraw(images, system.encode_each(images.roll(2, 0)))
    return drawn


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
    singles = torch.stack([real.fitted(name)[0] for name in targets])
    return {
        "copy": {key: score.value for key, score in report.scores.items()},
        "layout": {"own": float(torch.cat(own).mean()), "shuffled": float(torch.cat(other).mean())},
        "swap_ratio": sum(swaps) / max(sum(repeats), 1e-8),
        "crop_ratio": crop_ratio(model, from_uint8(pool[rows[:20]]), from_uint8(singles), seed=seed),
    }
