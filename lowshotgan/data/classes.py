"""Images in class folders, with the class of each."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import did_you_mean, one_of
from lowshotgan.data.base import Source, Subset
from lowshotgan.data.dataset import MEMORY_LIMIT, ImageSet, load_images
from lowshotgan.data.decode import Decoded
from lowshotgan.data.files import FolderSource, ZipSource
from lowshotgan.data.idx import IdxSource
from lowshotgan.data.preprocess import Preprocess
from lowshotgan.data.sources import open_source
from lowshotgan.errors import ConfigError, ImageInputError


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
            ``open_source`` opens), or a ``ClassSet``, which is returned as it is.
        resolution: side of the prepared images in pixels.
        classes: the classes to use; a list of names, or a text file with one on each line (lines such as
            ``class/file.png`` count as their class). All if left out.
        without: classes to leave out, named the same way: those kept unseen for tests.
        fit: as in ``Preprocess``; so are ``background`` and ``enlarge``.
        memory_limit: see ``load_images``.

    Raises:
        ImageInputError: if images lie outside class folders, a named class does not exist, or fewer than two are left.
        ConfigError: for a class list that cannot be read, or one to choose from a ``ClassSet``.
    """
    if isinstance(data, ClassSet):
        if classes is not None or without is not None:
            raise ConfigError(
                "the classes of a ClassSet are chosen already; give classes and without to load_classes()."
            )
        return data
    names, source = _open_classes(data)
    chosen = _choose(sorted(set(names)), _class_list(classes), _class_list(without), source.description)
    places = {name: label for label, name in enumerate(chosen)}
    rows = [row for row, name in enumerate(names) if name in places]
    labels = torch.tensor([places[names[row]] for row in rows])
    images = ImageSet(
        Subset(source, rows), Preprocess(resolution, fit=fit, background=background, enlarge=enlarge),
        memory_limit=memory_limit,
    )  # fmt: skip
    return ClassSet(images, labels, chosen)


def load_one_class(images: Any, *, resolution: int, **options: Any) -> ImageSet:
    """``load_images`` for images of one class.

    Raises:
        ImageInputError: if a folder or zip has images in several sub-folders, or idx files hold several labels.
    """
    found = load_images(images, resolution=resolution, **options)
    source = found.source.source if isinstance(found.source, Subset) else found.source
    names = _classes_within(source)
    if len(names) > 1:
        raise ImageInputError(
            f"{source.description} holds images of {len(names)} classes ({', '.join(names[:4])}), where those of one are "
            "needed; pass one of them. To translate into several, pass a mapping from name to folder; if all are one "
            "class, pass a list of the files."
        )
    return found


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

    def at(self, resolution: int) -> "ClassSet":
        """The same images, prepared at another resolution."""
        if resolution == self.images.resolution:
            return self
        images = ImageSet(self.images.source, replace(self.images.preprocess, resolution=resolution))
        return ClassSet(images, self.labels, self.classes)

    def of_class(self, name: str) -> Tensor:
        """``(N, 3, R, R)`` uint8 images of one class.

        Raises:
            ConfigError: if there is no such class.
        """
        one_of("class", name, self.classes)
        return self.images.uint8(self.rows[self.classes.index(name)])


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


def _classes_within(source: Source) -> list[str]:
    """Sub-folders that part a folder or zip, below the folders all images share; or the labels of idx files."""
    if isinstance(source, IdxSource):
        return sorted({label for index in range(len(source)) if (label := source.label(index)) is not None})
    if not isinstance(source, FolderSource | ZipSource):
        return []
    folders = [source.name(index).split("/")[:-1] for index in range(len(source))]
    shared = 0
    while all(len(folder) > shared and folder[shared] == folders[0][shared] for folder in folders):
        shared += 1
    return sorted({folder[shared] for folder in folders if len(folder) > shared})


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
        lines = Path(given).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(
            f"the class list {given} cannot be read ({error.strerror}); pass names or a text file."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the class list {given} is no text in UTF-8 ({error.reason}); save it as such.") from error
    return list(dict.fromkeys(line.strip().split("/", 1)[0] for line in lines if line.strip()))


def _choose(found: list[str], wanted: list[str] | None, unwanted: list[str] | None, where: str) -> list[str]:
    for name in [*(wanted or []), *(unwanted or [])]:
        if name not in found:
            hint = did_you_mean(name, found) or f" It has {', '.join(found[:8])}."
            raise ImageInputError(f"class {name!r} of the class list is not in {where}.{hint}")
    chosen = [name for name in found if (wanted is None or name in wanted) and name not in (unwanted or [])]
    if len(chosen) < 2:
        raise ImageInputError(
            f"{where} leaves {len(chosen)} class to train on; translation between classes needs at least two, and "
            "learns to handle new ones only from many."
        )
    return chosen
