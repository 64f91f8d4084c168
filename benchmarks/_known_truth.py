"""Figures of a translator on drawings whose right translations are known, and what the exemplars' number and cut change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SHOTS = (1, 5, 10, 20)
RESAMPLES = 1000
CONTENTS_CUT = 20
"""So many contents show how far translations follow the cut of an exemplar."""


@dataclass(frozen=True)
class Task:
    """Every content into every unseen class; translations stand class by class.

    Attributes:
        content: ``(N, 3, S, S)`` in [-1, 1].
        classes: how many there are.
        exemplars: (class, K, draw) -> ``(K, 3, S, S)``; another draw gives other images of the class.
        judge: translations ``(classes * N, 3, S, S)`` and a shift -> per-image figures ``(classes * N,)`` by name, found
            beside the truth of the content that stands ``shift`` places before.
        truth: class -> ``(N, 3, S, S)`` right answers in [-1, 1].
    """

    content: Tensor
    classes: int
    exemplars: Callable[[int, int, int], Tensor]
    judge: Callable[[Tensor, int], Mapping[str, Tensor]]
    truth: Callable[[int], Tensor]


def figures(model: Any, task: Task, *, seed: int, shots: Sequence[int] = SHOTS) -> tuple[dict[str, Any], Tensor]:
    """All figures of a model, and its translations by five exemplars."""
    copies = task.content.repeat(task.classes, 1, 1, 1)
    found: dict[str, Any] = {"translations": len(copies), "copy": _means(task.judge(copies, 0))}
    drawn = {k: translated(model, task, k) for k in shots}
    judged = {k: task.judge(images, 0) for k, images in drawn.items()}
    found |= {f"K={k}": _means(values) for k, values in judged.items()}
    found["gain"] = {name: paired_gain(judged[1][name], value, seed=seed) for name, value in judged[5].items()}
    found["shuffled"] = _means(task.judge(drawn[5], 1))
    found["swap_ratio"] = _distance(drawn[5], _of_next_class(drawn[5], task.classes)) / max(
        _distance(drawn[5], translated(model, task, 5, draw=1)), 1e-8
    )
    single = torch.cat([task.exemplars(label, 1, 0) for label in range(task.classes)])
    found["crop_ratio"] = crop_ratio(model, task.content[:CONTENTS_CUT], single, seed=seed)
    own = model.translate(task.content, task.content[:, None]).tensor
    found["reconstruction"] = _distance(own, task.content)
    return found, drawn[5]


def translated(model: Any, task: Task, k: int, *, draw: int = 0) -> Tensor:
    """Every content in every class by K exemplars."""
    exemplars = {str(label): task.exemplars(label, k, draw) for label in range(task.classes)}
    images: Tensor = model.translate(task.content, exemplars).tensor
    return images


def paired_gain(first: Tensor, second: Tensor, *, seed: int) -> dict[str, float]:
    """Mean of ``second`` less that of ``first``, per-image figures ``(N,)`` of the same translations, with the 95 % interval
    of a bootstrap over translations."""
    change = (second - first).double()
    drawn = torch.randint(len(change), (RESAMPLES, len(change)), generator=torch.Generator().manual_seed(seed))
    return interval(change.mean(), change[drawn].mean(dim=1))


def interval(value: Tensor, resampled: Tensor) -> dict[str, float]:
    """A value and the middle 95 % of its resamples."""
    low, high = resampled.quantile(torch.tensor([0.025, 0.975], dtype=resampled.dtype)).tolist()
    return {"mean": float(value), "low": low, "high": high}


def crop_ratio(model: Any, content: Tensor, exemplars: Tensor, *, seed: int) -> float:
    """Change of translations by another cut of the same exemplar, over their change by an exemplar of another class.

    Args:
        model: a translator.
        content: ``(N, 3, S, S)`` in [-1, 1].
        exemplars: ``(C, 3, S, S)``, one of each class.
        seed: of the cuts.
    """
    drawn = []
    for draw in range(2):
        codes = model.encode_each(cut(exemplars, seed=2 * seed + draw))
        each = codes.repeat_interleave(len(content), dim=0)
        drawn.append(model.redraw(content.repeat(len(codes), 1, 1, 1), each))
    other = _of_next_class(drawn[0], len(exemplars))
    return _distance(*drawn) / max(_distance(drawn[0], other), 1e-8)


def cut(images: Tensor, *, seed: int) -> Tensor:
    """Each of the images ``(N, 3, S, S)`` cut to a square of 80 to 100 % of its side, enlarged again and maybe mirrored."""
    side, found = images.shape[-1], []
    chances = torch.rand(len(images), 4, generator=torch.Generator().manual_seed(seed)).tolist()
    for image, (share, down, right, mirrored) in zip(images, chances, strict=True):
        kept = round(side * (0.8 + 0.2 * share))
        top, left = round(down * (side - kept)), round(right * (side - kept))
        part = image[None, :, top : top + kept, left : left + kept]
        enlarged = F.interpolate(part, (side, side), mode="bilinear", antialias=True)
        found.append(enlarged.flip(3) if mirrored < 0.5 else enlarged)
    return torch.cat(found)


def _of_next_class(drawn: Tensor, classes: int) -> Tensor:
    return drawn.unflatten(0, (classes, -1)).roll(1, 0).flatten(0, 1)


def _distance(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().mean())


def _means(values: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value.double().mean()) for name, value in values.items()}
