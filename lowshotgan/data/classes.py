"""Images in class folders, and endless pairs of content images and exemplars drawn from them.

class_name/*.png -> ClassSet -> Episodes -> {"content", "content_labels", "exemplars", "exemplar_labels"}
"""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import one_of, positive
from lowshotgan.data.base import Source, Subset
from lowshotgan.data.dataset import MEMORY_LIMIT, ImageSet
from lowshotgan.data.decode import Decoded
from lowshotgan.data.images import from_uint8
from lowshotgan.data.preprocess import Preprocess
from lowshotgan.data.sources import open_source
from lowshotgan.errors import ConfigError, ImageInputError

SAMPLINGS = ("images", "classes")


def load_classes(
    data: Any,
    *,
    resolution: int,
    classes: Sequence[str] | str | Path | None = None,
    without: Sequence[str] | str | Path | None = None,
    fit: str = "crop",
    background: tuple[int, int, int] = (255, 255, 255),
    enlarge: bool = True,
    memory_limit: int = MEMORY_LIMIT,
) -> "ClassSet":
    """Open, check and prepare images sorted into classes.

    Args:
        data: a folder or zip with one sub-folder per class, a mapping from class name to images (anything
            ``open_source`` opens), or a ``ClassSet``.
        resolution: side of the prepared images in pixels.
        classes: the classes to use; a list of names, or a text file with one on each line (lines such as
            ``class/file.png`` count as their class). All if left out.
        without: classes to leave out, named the same way: those kept unseen for tests.
        fit: as in ``Preprocess``; so are ``background`` and ``enlarge``.
        memory_limit: see ``load_images``.

    Raises:
        ImageInputError: if images lie outside class folders, a named class does not exist, or fewer than two are left.
    """
    if isinstance(data, ClassSet):
        return data
    names, source = _open_classes(data)
    chosen = _choose(sorted(set(names)), _class_list(classes), _class_list(without), source.description)
    rows = [row for row, name in enumerate(names) if name in chosen]
    labels = torch.tensor([chosen.index(names[row]) for row in rows])
    images = ImageSet(
        Subset(source, rows), Preprocess(resolution, fit=fit, background=background, enlarge=enlarge),
        memory_limit=memory_limit,
    )  # fmt: skip
    return ClassSet(images, labels, chosen)


class ClassSet:
    """Prepared images with the class of each.

    Args:
        images: the images.
        labels: ``(N,)`` int64, index into ``classes``.
        classes: sorted names; each has at least one image.
    """

    def __init__(self, images: ImageSet, labels: Tensor, classes: Sequence[str]) -> None:
        self.images, self.labels, self.classes = images, labels, tuple(classes)
        self.rows = [torch.nonzero(labels == label).flatten().tolist() for label in range(len(classes))]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"ClassSet({len(self)} images of {len(self.classes)} classes)"

    def describe(self) -> dict[str, Any]:
        """What identifies the images, as plain values: those of the ``ImageSet``, the classes and who is in which."""
        return self.images.describe() | {"classes": list(self.classes), "labels_digest": self._labels_digest}

    @cached_property
    def _labels_digest(self) -> str:
        return hashlib.sha256(json.dumps(self.labels.tolist()).encode()).hexdigest()

    def of_class(self, name: str) -> Tensor:
        """``(N, 3, R, R)`` uint8 images of one class.

        Raises:
            ConfigError: if there is no such class.
        """
        one_of("class", name, self.classes)
        return self.images.uint8(self.rows[self.classes.index(name)])


class Episodes:
    """Endless, resumable batches of content images and single exemplars, drawn independently of each other.

    Everything depends on the seed and the position alone; with several processes each takes every ``world_size``-th
    pair of the same global batch. An exemplar may be of its content image's class, as in FUNIT's release.

    Args:
        data: images with classes.
        batch_size: pairs per step over all processes.
        resolution: side of the batches; images that are larger are cut to it at random places.
        sampling: "images" sees every image once per pass (the papers'); "classes" draws every class equally often,
            and no class twice in a batch while there are enough.
        flip: mirror each image with probability one half.
        seed: start of the order.
        rank: index of this process.
        world_size: number of processes; ``batch_size`` must be a multiple.
        device: where the batches are put.
    """

    def __init__(
        self,
        data: ClassSet,
        batch_size: int,
        *,
        resolution: int | None = None,
        sampling: str = "images",
        flip: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        one_of("sampling", sampling, SAMPLINGS)
        self.data, self.flip, self.seed = data, flip, seed
        self.batch_size = int(positive("batch_size", batch_size))
        self.resolution = resolution or data.images.resolution
        if self.resolution > data.images.resolution:
            raise ConfigError(f"images of {data.images.resolution} px cannot be cut to {self.resolution} px.")
        if self.batch_size % world_size:
            raise ConfigError(f"batch_size={batch_size} cannot be shared by {world_size} processes; use a multiple.")
        self.rank, self.world_size, self.device = rank, world_size, torch.device(device)
        order = ImageOrder if sampling == "images" else ClassOrder
        self._orders = {role: order(data, f"{seed} {role}") for role in ("content", "exemplars")}
        self.position = 0

    def __iter__(self) -> "Episodes":
        return self

    def __next__(self) -> dict[str, Tensor]:
        batch: dict[str, Tensor] = {}
        for role, order in self._orders.items():
            mine = range(self.position, self.position + self.batch_size)[self.rank :: self.world_size]
            rows = [order.row(position) for position in mine]
            batch[role] = self._cut(rows, mine, role).to(self.device)
            label = "content_labels" if role == "content" else "exemplar_labels"
            batch[label] = self.data.labels[rows].to(self.device)
        self.position += self.batch_size
        return batch

    def _cut(self, rows: Sequence[int], positions: Sequence[int], role: str) -> Tensor:
        """Images ``(B, 3, R, R)`` in [-1, 1], cut and mirrored as their positions say."""
        side, room = self.resolution, self.data.images.resolution - self.resolution
        cut = []
        for image, position in zip(self.data.images.uint8(rows), positions, strict=True):
            chance = torch.rand(3, generator=_generator(f"{self.seed} {role} {position} cut"))
            top, left = (chance[:2] * (room + 1)).long().clamp(max=room).tolist()
            image = image[:, top : top + side, left : left + side]
            cut.append(image.flip(2) if self.flip and chance[2] < 0.5 else image)
        return from_uint8(torch.stack(cut))

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = int(state["position"])


class Shuffled:
    """An endless order of ``count`` things in which every pass holds each of them once, in a new order."""

    def __init__(self, count: int, seed: str) -> None:
        self.count, self.seed = count, seed
        self._pass, self._order = -1, list[int]()

    def at(self, position: int) -> int:
        """What stands at ``position``, from 0."""
        number, offset = divmod(position, self.count)
        if number != self._pass:
            generator = _generator(f"{self.seed} {number}")
            self._pass, self._order = number, torch.randperm(self.count, generator=generator).tolist()
        return self._order[offset]


class ImageOrder:
    """Every image once per pass."""

    def __init__(self, data: ClassSet, seed: str) -> None:
        self._images = Shuffled(len(data), seed)

    def row(self, position: int) -> int:
        """Which image stands at ``position``."""
        return self._images.at(position)


class ClassOrder:
    """Every class once per pass; the n-th pass takes the n-th image of each class's own order."""

    def __init__(self, data: ClassSet, seed: str) -> None:
        self._rows = data.rows
        self._classes = Shuffled(len(data.classes), seed)
        self._within = [Shuffled(len(rows), f"{seed} class {label}") for label, rows in enumerate(data.rows)]

    def row(self, position: int) -> int:
        """Which image stands at ``position``."""
        label = self._classes.at(position)
        return int(self._rows[label][self._within[label].at(position // len(self._rows))])


class _Joined(Source):
    """Several sources one after the other, their images named by key."""

    def __init__(self, parts: Mapping[str, Source]) -> None:
        self.parts = parts
        self.entries = [(key, index) for key, part in parts.items() for index in range(len(part))]
        self.description = f"{len(parts)} classes"
        self.parallel = all(part.parallel for part in parts.values())

    def __len__(self) -> int:
        return len(self.entries)

    def name(self, index: int) -> str:
        key, row = self.entries[index]
        return f"{key}/{self.parts[key].name(row)}"

    def decode(self, index: int) -> Decoded:
        key, row = self.entries[index]
        return self.parts[key].decode(row)


def _open_classes(data: Any) -> tuple[list[str], Source]:
    """The class of each image, and the images."""
    if isinstance(data, Mapping):
        if not data:
            raise ImageInputError("no classes were given; pass a mapping from class name to images.")
        joined = _Joined({str(name): open_source(images) for name, images in sorted(data.items())})
        return [key for key, _ in joined.entries], joined
    _check_no_empty_class(data)
    source = open_source(data)
    paths = [source.name(index) for index in range(len(source))]
    loose = [path for path in paths if "/" not in path]
    if loose:
        raise ImageInputError(
            f"{source.description} has {len(loose)} images outside class folders ({', '.join(loose[:3])}); "
            "sort them into one sub-folder per class, or pass a mapping from class name to images."
        )
    return [path.split("/", 1)[0] for path in paths], source


def _check_no_empty_class(data: Any) -> None:
    if not isinstance(data, str | Path) or not Path(data).expanduser().is_dir():
        return
    folders = [entry for entry in Path(data).expanduser().iterdir() if entry.is_dir() and entry.name[0] != "."]
    empty = sorted(folder.name for folder in folders if not any(item.is_file() for item in folder.rglob("*")))
    if empty:
        raise ImageInputError(f"class folder {', '.join(empty[:5])} in {data} is empty; add images or remove it.")


def _class_list(given: Sequence[str] | str | Path | None) -> list[str] | None:
    if given is None or not isinstance(given, str | Path):
        return None if given is None else [str(name) for name in given]
    try:
        lines = Path(given).expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(
            f"the class list {given} cannot be read ({error.strerror}); pass names or a text file."
        ) from error
    return list(dict.fromkeys(line.strip().split("/", 1)[0] for line in lines if line.strip()))


def _choose(found: list[str], wanted: list[str] | None, unwanted: list[str] | None, where: str) -> list[str]:
    for name in [*(wanted or []), *(unwanted or [])]:
        if name not in found:
            close = difflib.get_close_matches(name, found, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else f" It has {', '.join(found[:8])}."
            raise ImageInputError(f"class {name!r} of the class list is not in {where}.{hint}")
    chosen = [name for name in found if (wanted is None or name in wanted) and name not in (unwanted or [])]
    if len(chosen) < 2:
        raise ImageInputError(
            f"{where} leaves {len(chosen)} class to train on; translation between classes needs at least two, and "
            "learns to handle new ones only from many."
        )
    return chosen


def _generator(text: str) -> torch.Generator:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(seed)
