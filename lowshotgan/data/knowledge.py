"""What a user knows about categories: one vector each, from attributes, measurements, text encoders or examples.

    names (N), vectors (N, d), dimensions (d names, such as "colour=red"), nuisance {group: transform}

KG-GAN (Chang et al., arXiv 1905.12261) learns categories without images from such a table alone.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.data.images import from_uint8
from lowshotgan.data.tables import csv_lines, read_array, split_hint
from lowshotgan.errors import ConfigError
from lowshotgan.types import PathLike

NUISANCES = ("scramble_colour", "erase_patches", "shuffle_patches", "shift")
"""Transforms that may be named as not changing a group of attributes."""
USUAL_NUISANCES = {
    "colour": "erase_patches",
    "color": "erase_patches",
    "hue": "erase_patches",
    "shape": "scramble_colour",
    "form": "scramble_colour",
    "outline": "scramble_colour",
}
"""Group of attributes -> the transform that leaves it alone, where its name tells."""
Attributes = Mapping[str, str | Sequence[str]]
TEXTS = "text embeddings"
"""Source of vectors whose numbers mean nothing one by one."""


@dataclass(frozen=True)
class Knowledge:
    """A vector for every category, seen or not.

    Attributes:
        names: of the categories, without repeats.
        vectors: ``(N, d)`` float32, finite.
        dimensions: a name for each of the d numbers; ``group=value`` for attributes.
        nuisance: attribute group -> the transform that does not change it (one of ``NUISANCES``). ``None``: for groups
            whose name tells (``USUAL_NUISANCES``), the usual one; ``{}`` for none.
        source: where the vectors came from, for the record.
    """

    names: tuple[str, ...]
    vectors: Tensor
    dimensions: tuple[str, ...] = ()
    nuisance: Mapping[str, str] | None = None
    source: str = "table"

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) != len(self.names) or not all(self.names):
            raise ConfigError(f"knowledge needs distinct, non-empty category names, got {list(self.names)[:5]}.")
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.names) or not self.vectors.shape[1]:
            raise ConfigError(
                f"knowledge needs one vector for each of {len(self.names)} categories, got the shape "
                f"{tuple(self.vectors.shape)}; pass a table ({len(self.names)}, d)."
            )
        if not torch.isfinite(self.vectors).all():
            bad = self.names[int((~torch.isfinite(self.vectors)).any(dim=1).nonzero()[0])]
            raise ConfigError(f"the vector of {bad!r} holds NaN or infinite values; correct it.")
        if not self.dimensions:
            object.__setattr__(self, "dimensions", numbered(self.vectors.shape[1]))
        if len(self.dimensions) != self.vectors.shape[1] or len(set(self.dimensions)) != len(self.dimensions):
            raise ConfigError(
                f"knowledge needs a name of its own for each of {self.vectors.shape[1]} dimensions, got "
                f"{list(self.dimensions)[:8]}."
            )
        groups = attribute_groups(self.dimensions)
        for group, transform in (self.nuisance or {}).items():
            one_of("nuisance transform", transform, NUISANCES)
            if group not in groups:
                raise ConfigError(
                    f"nuisance names the group {group!r}; the knowledge has {', '.join(groups) or 'none'}."
                )

    @classmethod
    def from_attributes(
        cls, table: Mapping[str, Attributes], *, nuisance: Mapping[str, str] | None = None
    ) -> "Knowledge":
        """One-hot (or, for several values, multi-hot) groups from ``{"red circle": {"colour": "red", ...}, ...}``.

        Args:
            table: category -> attribute group -> its value or values; every category has the same groups.
            nuisance: group -> a transform of the image that does not change it; the usual ones by default.

        Raises:
            ConfigError: if a category lacks a group that another has.
        """
        if not table:
            raise ConfigError("the table of attributes is empty; pass at least one category.")
        for name, attributes in table.items():
            if not isinstance(attributes, Mapping):
                raise ConfigError(
                    f"category {name!r} needs attributes by group, such as {{'colour': 'red'}}, got {attributes!r}; "
                    "vectors go into Knowledge.from_table."
                )
        groups = {group: None for attributes in table.values() for group in attributes}
        for name, attributes in table.items():
            missing = [group for group in groups if group not in attributes]
            if missing:
                raise ConfigError(
                    f"category {name!r} has no attribute {missing[0]!r}; give every category all groups."
                )
        values = {g: sorted({v for a in table.values() for v in _values(a[g])}) for g in groups}
        dimensions = tuple(f"{group}={value}" for group in groups for value in values[group])
        rows = torch.stack([attribute_vector(attributes, dimensions) for attributes in table.values()])
        return cls(
            tuple(map(str, table)), rows, dimensions, None if nuisance is None else dict(nuisance), "attributes"
        )

    @classmethod
    def from_table(cls, names: Sequence[str], matrix: Any, *, source: str = "table") -> "Knowledge":
        """Numbers ``(N, d)``: measured attributes, word vectors; a tensor, an array or lists.

        Raises:
            ConfigError: for vectors of unequal length, or a number of vectors that is not that of the names.
        """
        return cls(tuple(map(str, names)), _as_matrix(matrix), source=source)

    @classmethod
    def from_text_embeddings(cls, names: Sequence[str], embeddings: Sequence[Tensor]) -> "Knowledge":
        """Vectors of any text encoder: ``(n_i, d)`` or ``(d,)`` for each category, averaged over its texts.

        Raises:
            ConfigError: if the encoder's vectors differ in length.
        """
        texts = [_numbers(one) for one in embeddings]
        means = [one.reshape(-1, one.shape[-1] if one.ndim else 1).mean(dim=0) for one in texts]
        return cls.from_table(names, means, source=TEXTS)

    @classmethod
    def from_exemplars(cls, embed: Callable[[Any], Tensor], images: Mapping[str, Any]) -> "Knowledge":
        """The mean of ``embed`` over a few images of each category.

        Args:
            embed: from images to ``(K, d)``; ``model.embed`` of a trained model takes anything ``load_images`` takes, and
                brings it to the model's size.
            images: category -> what ``embed`` takes; a uint8 tensor is brought to [-1, 1] first.

        Raises:
            ConfigError: without images, or if ``embed`` gives no vectors of one length.
        """
        rows = []
        for batch in images.values():
            is_bytes = isinstance(batch, Tensor) and batch.dtype == torch.uint8 and batch.ndim == 4
            with torch.no_grad():
                rows.append(embed(from_uint8(batch) if is_bytes else batch).float().mean(dim=0).cpu())
        return cls.from_table(list(images), rows, source="exemplars")

    @classmethod
    def from_file(
        cls, path: PathLike, *, names: Sequence[str] | None = None, nuisance: Mapping[str, str] | None = None
    ) -> "Knowledge":
        """A ``.csv`` (first column the name; numbers are values, words are attributes) or a ``.npy`` with ``names``.

        Args:
            path: the file. Space around the cells of a ``.csv`` and lines without any text do not count.
            names: of the categories of a ``.npy``.
            nuisance: as for ``from_attributes``.

        Raises:
            ConfigError: if the file cannot be read, or a ``.npy`` comes without names.
        """
        path = Path(path).expanduser()
        if path.suffix.lower() == ".npy":
            if names is None:
                raise ConfigError(f"{path} holds vectors without names; pass names=[...] in its order.")
            return replace(cls.from_table(names, read_array(path), source=path.name), nuisance=nuisance)
        return replace(_from_rows(cls, *_read_rows(path), path), nuisance=nuisance)

    def __len__(self) -> int:
        return len(self.names)

    def vector(self, name: str) -> Tensor:
        """``(d,)`` of one category.

        Raises:
            ConfigError: if it is not in the table; the message names the closest.
        """
        return self.vectors[self.names.index(one_of("category", name, self.names))]

    def select(self, names: Sequence[str]) -> "Knowledge":
        """The same table with only ``names``, in that order."""
        rows = torch.stack([self.vector(name) for name in names])
        return replace(self, names=tuple(names), vectors=rows)

    def along(self, dimensions: Sequence[str]) -> Tensor:
        """``(N, d)`` vectors with their numbers in the order of ``dimensions``, those of a model.

        Numbers without names (``v0``, ``v1`` ...) are taken by position. Attribute values that occur in no category here
        are zero, as long as each group does occur.

        Raises:
            ConfigError: if names differ otherwise; the message lists some that do.
        """
        if len(self.dimensions) == len(dimensions) and numbered(len(dimensions)) == self.dimensions:
            return self.vectors
        strange = [name for name in self.dimensions if name not in dimensions]
        absent = [name for name in dimensions if name not in self.dimensions]
        left_out = set(attribute_groups(absent)) - set(attribute_groups(self.dimensions))
        if strange or left_out or any("=" not in name for name in absent):
            raise ConfigError(
                f"the knowledge has {_some(strange or self.dimensions)}, the model needs {_some(absent or dimensions)}; "
                "give every category the dimensions of model.knowledge.dimensions."
            )
        place = {name: index for index, name in enumerate(self.dimensions)}
        empty = self.vectors.new_zeros(len(self))
        return torch.stack([self.vectors[:, place[n]] if n in place else empty for n in dimensions], dim=1)

    @property
    def protection(self) -> dict[str, str]:
        """``nuisance``, with the usual transforms where it is left out."""
        if self.nuisance is not None:
            return dict(self.nuisance)
        return {
            g: USUAL_NUISANCES[g.lower()] for g in attribute_groups(self.dimensions) if g.lower() in USUAL_NUISANCES
        }


def numbered(count: int) -> tuple[str, ...]:
    """Names of dimensions that have none: ``v0``, ``v1`` ..."""
    return tuple(f"v{i}" for i in range(count))


def attribute_groups(dimensions: Sequence[str]) -> dict[str, list[int]]:
    """Attribute group -> its dimensions; empty if the dimensions are plain numbers."""
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(dimensions):
        group, equals, _ = name.partition("=")
        if equals:
            groups.setdefault(group, []).append(index)
    return groups


def attribute_vector(attributes: Attributes, dimensions: Sequence[str]) -> Tensor:
    """``(d,)`` zeros and ones for ``{"colour": "red", "shape": ["circle", "ring"]}``.

    Raises:
        ConfigError: for a group or value that no dimension stands for, or a group left out.
    """
    groups = attribute_groups(dimensions)
    if not groups:
        raise ConfigError("this knowledge has no attribute groups; pass a vector instead of attributes.")
    vector = torch.zeros(len(dimensions))
    for group in groups:
        if group not in attributes:
            raise ConfigError(f"the attribute {group!r} is missing; the knowledge has {', '.join(groups)}.")
    for group, chosen in attributes.items():
        one_of("attribute", group, groups)
        for value in _values(chosen):
            known = [dimensions[index].partition("=")[2] for index in groups[group]]
            vector[groups[group][known.index(one_of(group, value, known))]] = 1.0
    return vector


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def _values(chosen: str | Sequence[str]) -> list[str]:
    values = list(chosen) if isinstance(chosen, Sequence | Set) and not isinstance(chosen, str) else [chosen]
    if not all(isinstance(value, str) for value in values):
        raise ConfigError(
            f"the value of an attribute is a text such as 'red', or several, got {chosen!r}; amounts go into "
            "Knowledge.from_table."
        )
    return values


def _numbers(given: Any) -> Tensor:
    try:
        return torch.as_tensor(given, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"knowledge needs numbers for each category, got {str(given)[:80]} ({error}).") from error


def _as_matrix(matrix: Any) -> Tensor:
    if isinstance(matrix, Tensor | np.ndarray) or not isinstance(matrix, Iterable):
        return _numbers(matrix)
    rows = [_numbers(row).reshape(-1) for row in matrix]
    if not rows:
        raise ConfigError("the knowledge table is empty; pass one vector for each category.")
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise ConfigError(f"vectors have the lengths {lengths}; all categories need vectors of one length.")
    return torch.stack(rows)


def _read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the other lines of a ``.csv``, every cell with a text."""
    try:
        header, *rows = csv_lines(path.read_text(encoding="utf-8-sig")) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read ({error}); give a .csv with a header line, or a .npy.") from error
    if len(header) < 2 or not rows or any(len(row) != len(header) for row in rows):
        raise ConfigError(
            f"{path} must have a header, a name and as many values in each line as the header.{split_hint(header)}"
        )
    if len(set(header)) < len(header):
        raise ConfigError(f"{path} names a column twice: {', '.join(header)}.")
    for row in rows:
        if "" in row:
            raise ConfigError(f"{path} has no {header[row.index('')]} for {row[0] or 'a line'}; fill in every cell.")
    return header, rows


def _from_rows(cls: type[Knowledge], header: list[str], rows: list[list[str]], path: Path) -> Knowledge:
    names = [row[0] for row in rows]
    try:
        matrix = torch.tensor([[float(value) for value in row[1:]] for row in rows])
    except ValueError:
        table = {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}
        if len(table) != len(rows):
            raise ConfigError(f"{path} names a category twice; give each one line.") from None
        return cls.from_attributes(table)
    return cls(tuple(names), matrix, tuple(header[1:]), source=path.name)
