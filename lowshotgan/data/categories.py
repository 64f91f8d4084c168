"""Images with a category each: sub-folders, a mapping, labels in a list or a table; unused images are never decoded."""

import csv
import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import whole
from lowshotgan.data.base import Source, Subset
from lowshotgan.data.batches import Share
from lowshotgan.data.dataset import ImageSet, draw_subset
from lowshotgan.data.decode import Decoded
from lowshotgan.data.images import from_uint8
from lowshotgan.data.preprocess import Preprocess
from lowshotgan.data.sources import open_source
from lowshotgan.data.tables import csv_lines, split_hint
from lowshotgan.errors import ConfigError, ImageInputError


class CategorySet:
    """Prepared images of some categories.

    Args:
        images: the images.
        labels: ``(N,)`` index into ``categories`` of each.
        categories: names, in the order of the model.
    """

    def __init__(self, images: ImageSet, labels: Tensor, categories: Sequence[str]) -> None:
        self.images, self.labels, self.categories = images, labels, tuple(categories)

    def __len__(self) -> int:
        return len(self.images)

    def of(self, category: str) -> Tensor:
        """``(K, 3, R, R)`` uint8 images of one category."""
        return self.images.uint8((self.labels == self.categories.index(category)).nonzero()[:, 0])

    @property
    def counts(self) -> dict[str, int]:
        """Images of each category."""
        found = Counter(self.labels.tolist())
        return {name: found.get(index, 0) for index, name in enumerate(self.categories)}

    def describe(self) -> dict[str, Any]:
        """What identifies the images and their categories, as plain values."""
        digest = hashlib.sha256(self.labels.numpy().tobytes()).hexdigest()
        return self.images.describe() | {"categories": list(self.categories), "labels": digest}


def load_categories(
    data: Any,
    categories: Sequence[str],
    *,
    resolution: int,
    labels: Any = None,
    columns: Sequence[str] = (),
    fit: str = "crop",
    background: tuple[int, int, int] = (255, 255, 255),
    limit: int | None = None,
    k: int | None = None,
    seed: int = 0,
    **source_options: Any,
) -> CategorySet:
    """Read the images of ``categories`` and no others.

    Args:
        data: a folder or zip with a sub-folder for each category, a mapping from category to images, or any images
            together with ``labels``.
        categories: names wanted; images of others are passed over without being decoded.
        resolution: side in pixels.
        labels: a category for each image in order, or the name of a ``.csv`` (beside the images, in the zip, or a path)
            whose first column is the file.
        columns: columns of that table that make the category, joined by a space; its second by default.
        fit: as in ``load_images``; so is ``background``.
        limit: at most this many images of each category, the first ones.
        k: draw this many images of each category at random.
        seed: of that draw.
        source_options: of ``open_source``.

    Raises:
        ImageInputError: if a category has no image, or labels and images do not agree.
        ConfigError: for an unusable option.
    """
    preprocess = Preprocess(resolution, fit=fit, background=background)
    if limit is not None:
        whole("limit", limit)
    if isinstance(data, CategorySet):
        return _checked(data, categories, resolution)
    source, names = _named(data, labels, columns, source_options, wanted=categories)
    _check_all_there(names, categories, source)
    indices = _chosen(names, categories, limit)
    if k is not None:
        indices = _drawn(names, indices, categories, k, seed)
    rank = {name: index for index, name in enumerate(categories)}
    return CategorySet(
        ImageSet(Subset(source, indices), preprocess), torch.tensor([rank[names[i]] for i in indices]), categories
    )


def category_names(data: Any, *, labels: Any = None, columns: Sequence[str] = (), **source_options: Any) -> list[str]:
    """Names of the categories of ``data``, sorted; arguments and errors are those of ``load_categories``."""
    if isinstance(data, CategorySet):
        return list(data.categories)
    return sorted(set(_named(data, labels, columns, source_options)[1]))


class CategoryBatches:
    """Endless batches ``{"images": (B, 3, R, R) in [-1, 1], "labels": (B,)}``, every category equally often.

    Position p holds category p mod C of a shuffled round and the next image of that category's own shuffled order, so
    the batches depend on seed and position alone.

    Args:
        data: the images.
        batch_size: images per step over all processes.
        flip: mirror images at random.
        seed: of the order.
        rank: of this process.
        world_size: number of processes; ``batch_size`` must be a multiple.
        device: where the batches are put.
        only: labels of the categories to draw from; all by default.
    """

    def __init__(
        self,
        data: CategorySet,
        batch_size: int,
        *,
        only: Sequence[int] | None = None,
        flip: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data, self.flip, self.seed = data, flip, seed
        self.share, self.device = Share(batch_size, rank, world_size), torch.device(device)
        wanted = range(len(data.categories)) if only is None else only
        self._members = [(data.labels == i).nonzero()[:, 0] for i in wanted]
        self._members = [rows for rows in self._members if len(rows)]

    def __iter__(self) -> "CategoryBatches":
        return self

    def __next__(self) -> dict[str, Tensor]:
        entries = [self._entry(position) for position in self.share.take()]
        rows = [row for row, _ in entries]
        images = from_uint8(self.data.images.uint8(rows))
        mirrored = torch.tensor([flipped for _, flipped in entries])
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        return {"images": images.to(self.device), "labels": self.data.labels[rows].to(self.device)}

    def _entry(self, position: int) -> tuple[int, bool]:
        turn, offset = divmod(position, len(self._members))
        category = int(self._order(turn, len(self._members), salt=1)[offset])
        members = self._members[category]
        epoch, place = divmod(turn, len(members))
        row = int(members[self._order(epoch, len(members), salt=2 + category)[place]])
        return row, self.flip and bool(self._order(position, 2, salt=0)[0])

    def _order(self, turn: int, count: int, *, salt: int) -> Tensor:
        key = (self.seed * 1_000_003 + salt) * 1_000_003 + turn
        return torch.randperm(count, generator=torch.Generator().manual_seed(key % 2**62))

    def state_dict(self) -> dict[str, Any]:
        return self.share.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.share.load_state_dict(state)


class _Joined(Source):
    """Several sources one after the other."""

    parallel = False

    def __init__(self, parts: Mapping[str, Source]) -> None:
        self.description = "mapping of categories"
        self._entries = [(name, part, i) for name, part in parts.items() for i in range(len(part))]

    def __len__(self) -> int:
        return len(self._entries)

    def name(self, index: int) -> str:
        category, part, place = self._entries[index]
        return f"{category}/{part.name(place)}"

    def decode(self, index: int) -> Decoded:
        _, part, place = self._entries[index]
        return part.decode(place)


def _named(
    data: Any,
    labels: Any,
    columns: Sequence[str],
    source_options: Mapping[str, Any],
    *,
    wanted: Sequence[str] | None = None,
) -> tuple[Source, list[str]]:
    """Images and the category of each; of a mapping only those ``wanted``."""
    if isinstance(data, Mapping) and labels is None:
        chosen = {str(name): images for name, images in data.items() if wanted is None or str(name) in wanted}
        parts = {name: open_source(images, **source_options) for name, images in chosen.items()}
        return _Joined(parts), [name for name, part in parts.items() for _ in range(len(part))]
    source = open_source(data, **source_options)
    names = _labels_of(source, data, labels, columns)
    if len(names) != len(source):
        raise ImageInputError(f"{len(names)} labels for {len(source)} images; give one label for each image.")
    return source, names


def _labels_of(source: Source, data: Any, labels: Any, columns: Sequence[str]) -> list[str]:
    files = [source.name(index) for index in range(len(source))]
    if labels is None:
        if not any("/" in file for file in files):
            raise ImageInputError(
                f"{source.description} has no sub-folders to tell categories by; pass a mapping from category to "
                "images, or labels=."
            )
        return [file.split("/")[-2] if "/" in file else "" for file in files]
    if isinstance(labels, str | Path):
        table = _read_table(data, labels, columns)
        missing = [file for file in files if file not in table]
        if missing:
            raise ImageInputError(f"{labels} has no line for {missing[0]}; its first column must be the file.")
        return [table[file] for file in files]
    if isinstance(labels, Mapping) or not isinstance(labels, Iterable):
        raise ImageInputError(f"labels must be a list with one for each image, or a .csv, got {labels!r}.")
    return [str(label) for label in (labels.tolist() if isinstance(labels, Tensor) else labels)]


def _read_table(data: Any, name: str | Path, columns: Sequence[str]) -> dict[str, str]:
    try:
        header, *lines = csv_lines(_text_of(data, name)) or [[]]
    except (OSError, KeyError, UnicodeDecodeError, zipfile.BadZipFile, csv.Error) as error:
        raise ImageInputError(f"the labels {name} cannot be read ({error}); give a .csv with a header.") from error
    wanted = list(columns) or header[1:2]
    absent = [column for column in wanted if column not in header]
    if not wanted or absent:
        raise ConfigError(
            f"{name} has the columns {', '.join(header) or 'none'}; it lacks {absent or 'a label'}.{split_hint(header)}"
        )
    rows = [dict(zip(header, [*line, *[""] * len(header)], strict=False)) for line in lines]
    return {row[header[0]]: " ".join(row[column] for column in wanted).strip() for row in rows}


def _text_of(data: Any, name: str | Path) -> str:
    where = Path(data).expanduser() if isinstance(data, str | Path) else None
    if where is not None and where.is_file() and zipfile.is_zipfile(where) and not Path(name).is_file():
        with zipfile.ZipFile(where) as archive:
            return archive.read(str(name)).decode("utf-8-sig")
    beside = where / name if where is not None and where.is_dir() and (where / name).is_file() else Path(name)
    return beside.read_text(encoding="utf-8-sig")


def _checked(data: CategorySet, categories: Sequence[str], resolution: int) -> CategorySet:
    """``data`` if its labels and images are what a model of these categories and this side takes."""
    if data.categories != tuple(categories) or data.images.resolution != resolution:
        raise ConfigError(
            f"these images have the categories {', '.join(data.categories)} at {data.images.resolution} px, but "
            f"{', '.join(categories)} at {resolution} px are needed; load them with load_categories(..., categories)."
        )
    return data


def _chosen(names: Sequence[str], categories: Sequence[str], limit: int | None) -> list[int]:
    wanted, taken, indices = set(categories), Counter[str](), []
    for index, name in enumerate(names):
        if name in wanted and (limit is None or taken[name] < limit):
            taken[name] += 1
            indices.append(index)
    return indices


def _drawn(names: Sequence[str], indices: Sequence[int], categories: Sequence[str], k: int, seed: int) -> list[int]:
    """``k`` of ``indices`` of each category."""
    kept: list[int] = []
    for category in categories:
        members = [index for index in indices if names[index] == category]
        kept += [members[place] for place in draw_subset(len(members), k, seed, where=category)]
    return sorted(kept)


def _check_all_there(names: Sequence[str], categories: Sequence[str], source: Source) -> None:
    found = Counter(names)
    empty = [name for name in categories if not found[name]]
    if empty:
        known = ", ".join(sorted(found)[:8])
        raise ImageInputError(
            f"{source.description} has no images of {', '.join(empty[:3])}; its categories are {known or 'none'}."
        )
