"""The idx files of MNIST and its successors: one file of images and one of labels, plain or gzipped.

Format (LeCun, Cortes and Burges): two zero bytes, type 0x08 for uint8, number of dimensions, each dimension
as a big-endian 32-bit integer, then the values.
"""

import gzip
import math
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lowshotgan.checks import as_whole, one_of
from lowshotgan.data.base import Source
from lowshotgan.data.decode import Decoded
from lowshotgan.errors import ConfigError, ImageInputError

Array = np.ndarray[Any, np.dtype[np.uint8]]
IMAGES = re.compile(r"(?:.*[-_])?(train|t10k|test)[-_]images[-_.]idx3[-_]ubyte(?:\.gz)?$")
SPLITS = {"train": ("train",), "test": ("t10k", "test")}
LARGEST_BYTES = 2 * 2**30


def find_idx(path: Path) -> dict[str, Path]:
    """The idx image files that ``path`` is or holds, by split: ``"train"``, ``"test"``, both or neither."""
    candidates = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    found: dict[str, Path] = {}
    for candidate in candidates:
        match = IMAGES.match(candidate.name)
        if match:
            found["train" if match[1] == "train" else "test"] = candidate
    return found


class IdxSource(Source):
    """Grey images of one idx file, optionally only those of some classes.

    Args:
        path: a folder with files such as ``train-images-idx3-ubyte.gz``, or one such file.
        classes: labels to keep; needs the label file beside the images.
        split: ``"train"`` or ``"test"`` (files called ``t10k`` or ``test``); a single file decides it itself.

    Raises:
        ImageInputError: if a file is missing, damaged or of another kind, or a class has no images.
    """

    parallel = False  # nothing to decode, so threads would only cost

    def __init__(self, path: Path, *, classes: Sequence[int] | None = None, split: str = "train") -> None:
        one_of("split", split, SPLITS)
        files = find_idx(path)
        split = next(iter(files)) if path.is_file() and files else split
        if split not in files:
            raise ImageInputError(f"{path} has no idx images of the {split} part, only {', '.join(files) or 'none'}.")
        self.split, self.description = split, f"{split} part of {path}"
        self._file = files[split]
        self._images = read_idx(self._file, dimensions=3)
        self._indices = np.arange(len(self._images))
        if classes is not None:
            self._indices = self._indices_of(_as_labels(classes))

    def __len__(self) -> int:
        return len(self._indices)

    def name(self, index: int) -> str:
        return f"{self.split}/{self._indices[index]:05d}"

    def label(self, index: int) -> str | None:
        """The number in the label file beside the images, as text; ``None`` without that file."""
        return None if self._labels is None else str(int(self._labels[self._indices[index]]))

    def decode(self, index: int) -> Decoded:
        return Decoded(Image.fromarray(self._images[self._indices[index]]))

    @property
    def _label_file(self) -> Path:
        images = self._file
        path = images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1"))
        twin = path.with_name(path.name[:-3]) if path.suffix == ".gz" else path.with_name(path.name + ".gz")
        return path if path.exists() else twin

    @cached_property
    def _labels(self) -> Array | None:
        """Labels of all images of the file, if there are any."""
        path = self._label_file
        if not path.exists():
            return None
        labels = read_idx(path, dimensions=1)
        if len(labels) != len(self._images):
            raise ImageInputError(
                f"{path} has {len(labels)} labels for {len(self._images)} images; download it again."
            )
        return labels

    def _indices_of(self, classes: list[int]) -> Any:
        labels, path = self._labels, self._label_file
        if labels is None:
            raise ImageInputError(
                f"classes={classes} needs the labels {path.name} beside {self._file}; add that file."
            )
        absent = sorted(set(classes) - set(labels.tolist()))
        if absent:
            known = ", ".join(map(str, sorted(set(labels.tolist()))))
            raise ImageInputError(f"class {absent[0]} does not occur in {path}; its classes are {known}.")
        return np.flatnonzero(np.isin(labels, classes))


def read_idx(path: Path, *, dimensions: int) -> Array:
    """Read an idx file of uint8 values, gzipped or not.

    Raises:
        ImageInputError: if it is damaged, too large, or does not have ``dimensions`` dimensions.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            head = file.read(4 + 4 * dimensions)
            if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
                raise ImageInputError(f"{path} is not an idx file with {dimensions} dimensions; download it again.")
            shape = struct.unpack(f">{dimensions}I", head[4:])
            count = math.prod(shape)
            if count > LARGEST_BYTES or 0 in shape:
                raise ImageInputError(f"{path} claims the shape {shape}, which cannot be used; download it again.")
            data = file.read(count)
    except (OSError, EOFError, zlib.error) as error:
        raise ImageInputError(f"{path} is damaged or truncated ({error}); download it again.") from error
    if len(data) != count:
        raise ImageInputError(f"{path} is truncated ({len(data)} of {count} bytes); download it again.")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _as_labels(classes: int | Sequence[int]) -> list[int]:
    given = list(classes) if isinstance(classes, Iterable) else [classes]
    labels = [label for label in map(as_whole, given) if label is not None]
    if not labels or len(labels) < len(given):
        raise ConfigError(f"classes must be whole numbers such as [0, 2], got {classes!r}.")
    return labels
