"""The tasks of the K-shot benchmark: which base, which target images to adapt to, which to judge by.

The reference of a task is never read before an adaptation has ended; see ``_kshot_cell``.
"""

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lowshotgan.data.base import Source, Subset
from lowshotgan.data.dataset import draw_subset, load_images
from lowshotgan.data.sources import open_source

STYLES, PETS, FASHION = "avatars_styles_128.zip", "pet_faces_128.zip", "fashion_mnist"
PETS_RULE = (
    "file 000 of each breed, cats and dogs in turn, breeds in alphabetical order: five cats and five dogs for K = 10"
)
CURVE_KS = (1, 5, 10, 25, 100)
CURVE_TASK, CURVE_RECIPE = "A-near", "auto"
SCRATCH_TASK = "A-scratch"


@dataclass(frozen=True)
class Task:
    """One adaptation problem.

    Attributes:
        name: as in the table.
        about: for the reader.
        base: key of the base weights, ``"avatars"`` or ``"fashion"``; ``"scratch"`` for none.
        pack: file or folder below ``--data``.
        folder: the target's folder in the pack; ``None`` for all of it.
        label: the target's class in a pack of idx files.
        rule: how the K images of subset 0 are chosen.
        k: number of target images.
    """

    name: str
    about: str
    base: str
    pack: str
    folder: str | None = None
    label: int | None = None
    rule: str = "the pack's tenshot.json, then the other files by name"
    k: int = 10


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("A-near", "avatars to big-ears (coloured heads)", "avatars", STYLES, "big-ears"),
        Task("A-near2", "avatars to micah (coloured heads)", "avatars", STYLES, "micah"),
        Task("A-line", "avatars to lorelei (ink drawing)", "avatars", STYLES, "lorelei"),
        Task("A-far", "avatars to photographs of cats and dogs", "avatars", PETS, rule=PETS_RULE),
        Task("F-near", "tops to dresses", "fashion", FASHION, label=3, rule="first files of the training part"),
        Task("F-far", "tops to bags", "fashion", FASHION, label=8, rule="first files of the training part"),
        Task(SCRATCH_TASK, "big-ears without a base (FastGAN)", "scratch", STYLES, "big-ears", k=100),
    )
}
"""Spec names: E-near is A-near, E-line is A-line, E-far is A-far."""

ADAPTED_TASKS = tuple(name for name, task in TASKS.items() if task.base != "scratch")


@dataclass(frozen=True)
class Shots:
    """The images of one adaptation.

    Attributes:
        pixels: ``(K, 3, R, R)`` uint8.
        names: of these K images.
    """

    pixels: Tensor
    names: tuple[str, ...]


def load_shots(task: Task, data: Path, *, k: int, subset: int, resolution: int) -> Shots:
    """The K images to adapt to; nothing else of the target is decoded.

    Args:
        task: which target.
        data: folder of the packs.
        k: how many.
        subset: 0 for the first K by the task's rule, else the seed of a random draw.
        resolution: of the model, in pixels.
    """
    source, order = _ordered(task, data)
    chosen = order[:k] if subset == 0 else draw_subset(len(source), k, subset)
    if len(chosen) < k:
        raise SystemExit(f"{task.name} has only {len(order)} images, not k={k}.")
    pixels = _read(task, source, chosen, resolution)
    return Shots(pixels, tuple(source.name(index) for index in chosen))


def load_reference(task: Task, data: Path, used: Sequence[str], *, resolution: int) -> Tensor:
    """``(M, 3, R, R)`` uint8 images the model was not adapted to: all others, or the test part of idx files."""
    if task.label is not None:
        source = _open(task, data, split="test")
        return _read(task, source, range(min(len(source), 1000)), resolution)
    source, known = _open(task, data), set(used)
    others = [index for index in range(len(source)) if source.name(index) not in known]
    return _read(task, source, others, resolution)


def load_common_reference(task: Task, data: Path, *, resolution: int) -> Tensor:
    """The reference all K of the curve share: what lies behind the largest K in the task's order."""
    source, order = _ordered(task, data)
    return _read(task, source, order[max(CURVE_KS) :], resolution)


def _ordered(task: Task, data: Path) -> tuple[Source, list[int]]:
    """The target's images, and their indices in the order the task's rule draws them."""
    source = _open(task, data)
    names = [source.name(index) for index in range(len(source))]
    if task.label is not None:
        return source, list(range(len(names)))
    if task.folder is None:
        return source, _cats_and_dogs(names, _species(data / task.pack))
    first = json.loads(_member(data / task.pack, "tenshot.json"))[task.folder]
    place = {name: position for position, name in enumerate(first)}
    return source, sorted(range(len(names)), key=lambda i: (place.get(names[i], len(place)), names[i]))


def _cats_and_dogs(names: Sequence[str], species: dict[str, str]) -> list[int]:
    breeds = sorted(species)
    rank = {b: [c for c in breeds if species[c] == species[b]].index(b) for b in breeds}

    def place(index: int) -> tuple[int, int, str]:
        breed, _, file = names[index].rpartition("/")
        return int(Path(file).stem), rank[breed], species[breed]

    return sorted(range(len(names)), key=place)


def _species(pack: Path) -> dict[str, str]:
    rows = csv.DictReader(io.StringIO(_member(pack, "attributes.csv")))
    return {row["breed"]: row["species"] for row in rows}


def _member(pack: Path, name: str) -> str:
    with zipfile.ZipFile(pack) as archive:
        return archive.read(name).decode("utf-8")


def _open(task: Task, data: Path, *, split: str = "train") -> Source:
    if task.label is not None:
        return open_source(data / task.pack, classes=[task.label], split=split)
    return open_source(data / task.pack, include=None if task.folder is None else [task.folder])


def _read(task: Task, source: Source, indices: Sequence[int], resolution: int) -> Tensor:
    padded: dict[str, Any] = {"fit": "pad", "enlarge": False, "background": (0, 0, 0)}
    options = padded if task.label is not None else {}
    return load_images(Subset(source, list(indices)), resolution=resolution, **options).uint8()
