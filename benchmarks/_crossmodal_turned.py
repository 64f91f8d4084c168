"""Cells of ``crossmodal.py`` whose right answer is known: a digit, and the same digit turned by a quarter."""

from pathlib import Path
from typing import Any

import torch
from _crossmodal_data import Items, agreement, classes_of
from torch import Tensor, nn

import lowshotgan as lsg
from lowshotgan.metrics.similarity import ssim
from lowshotgan.systems.syncgan.modalities import ImageModality

SETTINGS = {"batch_size": 32, "precision": "fp32", "progress": False}


def as_images(values: Tensor) -> Tensor:
    """Grey items in [-1, 1] as uint8 ``(N, 3, H, W)``, which a modality reads."""
    return ((values + 1) * 127.5).round().byte().expand(-1, 3, -1, -1)


def turned(values: Tensor) -> Tensor:
    return values.rot90(1, (2, 3))


def conditional(train: Items, test: Items, judge: nn.Module, folder: Path, *, steps: int, seed: int) -> dict[str, Any]:
    """The conditional model, judged by turning its result back and asking for the digit."""
    torch.manual_seed(seed)
    model = lsg.create_model("cond_syncgan_28")
    settings = {**SETTINGS, "steps": steps, "seed": seed, "synchronizer_lr": 1e-4}
    result = lsg.train(model, _pairs(train), output_dir=folder, **settings)
    drawn = result.model.generate(content=as_images(test.values), batch_size=100).values["second"]
    said = classes_of(judge, drawn.rot90(-1, (2, 3)))
    return {"accuracy": agreement(said, test.labels), "steps": steps, "seed": seed}


def instances(
    train: Items, test: Items, folder: Path, *, steps: int, warm_up: int, transfers: int, seed: int
) -> dict[str, Any]:
    """SyncGAN with a group for every digit: is a transferred digit this one, or only one of its class?

    ``ssim`` compares results with the turned digit itself, ``ssim_class`` with another turned digit of its class.
    """
    torch.manual_seed(seed)
    sizes = {"width": 12, "synchronizer_width": 8, "encoders": True}
    model = lsg.create_model(
        "syncgan_28", modalities={"first": ImageModality(28, 1), "second": ImageModality(28, 1)}, **sizes
    )
    settings = {**SETTINGS, "steps": steps, "warm_up_steps": warm_up, "sync_weight": 2.0, "seed": seed}
    result = lsg.train(model, _pairs(train), output_dir=folder, **settings)
    order = torch.randperm(len(test.labels), generator=torch.Generator().manual_seed(1))[:transfers]
    values, labels = test.values[order], test.labels[order]
    made = result.model.transfer(as_images(values), to="second", from_="first", method="hybrid").values["second"]
    others = torch.stack([_another(test, int(label), row) for label, row in zip(labels, order.tolist(), strict=True)])
    return {
        "ssim": float(ssim(as_images(made), as_images(turned(values))).mean()),
        "ssim_class": float(ssim(as_images(made), as_images(turned(others))).mean()),
        "steps": steps,
        "warm_up": warm_up,
        "transfers": transfers,
        "seed": seed,
    }


def _pairs(items: Items) -> dict[str, Any]:
    return {"first": as_images(items.values), "second": as_images(turned(items.values)), "pairs": "aligned"}


def _another(items: Items, label: int, row: int) -> Tensor:
    """The next item of a class after ``row``, from the first again at the end."""
    same = (items.labels == label).nonzero()[:, 0]
    later = same[same > row]
    return items.values[later[0] if len(later) else same[0]]
