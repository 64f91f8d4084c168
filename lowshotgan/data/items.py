"""Images that are already objects: lists, tensors, torch datasets and Hugging Face datasets."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from lowshotgan.data.base import Source
from lowshotgan.data.decode import Decoded, check_pixels, decode_bytes, decode_file, finish
from lowshotgan.data.listing import printable
from lowshotgan.errors import ImageInputError

PROBED = 16
"""Items of a dataset that are looked at to tell floats in [0, 1] from floats in [-1, 1]."""
IMAGE_KEYS = ("image", "images", "img", "picture", "photo", "pixel_values", "jpg", "png")


class ListSource(Source):
    """A list of paths, PIL images, arrays, tensors or dataset items that hold one, in the order given."""

    def __init__(self, items: Sequence[Any], column: str | None = None) -> None:
        if not len(items):
            raise ImageInputError("the list of images is empty; pass at least one path or PIL image.")
        self._items = [image_of(item, f"entry {index} of the list", column) for index, item in enumerate(items)]
        self._signed = _is_signed(self._items)
        self.parallel = all(isinstance(item, str | Path) for item in self._items)
        self.description = f"list of {len(items)}"
        for index, item in enumerate(self._items):
            if isinstance(item, str | Path) and Path(item).is_dir():
                raise ImageInputError(f"entry {index} of the list is the folder {item}; pass the folder by itself.")

    def __len__(self) -> int:
        return len(self._items)

    def name(self, index: int) -> str:
        item = self._items[index]
        return printable(Path(item).as_posix()) if isinstance(item, str | Path) else f"image {index}"

    def decode(self, index: int) -> Decoded:
        return decode_item(self._items[index], self.name(index), signed=self._signed)


class DatasetSource(Source):
    """A map-style torch dataset: items are images, or tuples or mappings with an image.

    Args:
        dataset: has ``__len__`` and ``__getitem__``.
        column: key of the image in items that are mappings.
    """

    parallel = False  # a dataset may use state that is not safe to share between threads

    def __init__(self, dataset: Any, column: str | None = None) -> None:
        self.description = type(dataset).__name__
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise ImageInputError(
                f"{self.description} is a stream without length; pass list(itertools.islice(dataset, 1000)) instead."
            )
        if len(dataset) == 0:
            raise ImageInputError(f"{self.description} is empty; pass a dataset with at least one image.")
        self._dataset, self._column = dataset, column
        self._signed = _is_signed(self._item(index) for index in range(min(PROBED, len(self))))

    def __len__(self) -> int:
        return len(self._dataset)

    def name(self, index: int) -> str:
        return f"item {index}"

    def decode(self, index: int) -> Decoded:
        return decode_item(self._item(index), f"item {index} of {self.description}", signed=self._signed)

    def _item(self, index: int) -> Any:
        try:
            item = self._dataset[index]
        except Exception as error:  # the dataset is the user's code
            raise ImageInputError(
                f"item {index} of {self.description} cannot be read ({error}); repair the dataset."
            ) from error
        return image_of(item, f"item {index} of {self.description}", self._column)


def open_columns(dataset: Any, column: str | None = None) -> DatasetSource:
    """A source over a dataset of the ``datasets`` library (anything with ``column_names``).

    Raises:
        ImageInputError: if it is a dictionary of splits, a stream, or has no image column.
    """
    columns = dataset.column_names
    if isinstance(columns, Mapping):
        raise ImageInputError(
            f"this dataset has the splits {', '.join(columns)}; "
            f"pass one of them, such as dataset[{next(iter(columns), 'train')!r}]."
        )
    column = _image_column(list(columns or ()), getattr(dataset, "features", None) or {}, column)
    if hasattr(dataset, "select_columns"):
        dataset = dataset.select_columns([column])  # so that no other column is decoded
    return DatasetSource(dataset, column)


def image_of(item: Any, name: str, column: str | None = None) -> Any:
    """The image in a dataset item: the item itself, the first entry of a tuple, or one value of a mapping."""
    if isinstance(item, Mapping) and not {"bytes", "path"} & set(item):
        keys = [column] if column else [key for key in IMAGE_KEYS if key in item]
        if not keys or keys[0] not in item:
            raise ImageInputError(
                f"{name} has the keys {', '.join(map(str, item))}; say which is the image by column=."
            )
        return item[keys[0]]
    if isinstance(item, tuple | list) and item:
        return item[0]
    return item


def decode_item(item: Any, name: str, *, signed: bool = False) -> Decoded:
    """Turn a path, bytes, PIL image, array or tensor into an image.

    Args:
        item: arrays are ``(H, W)`` or ``(H, W, C)``, tensors ``(H, W)`` or ``(C, H, W)`` with C from 1 to 4;
            uint8, or floats in [0, 1].
        name: what errors call it.
        signed: floats are in [-1, 1] instead.

    Raises:
        ImageInputError: for anything else, or a file that cannot be read.
    """
    if isinstance(item, Mapping):  # how the datasets library hands over images that it did not decode
        item = item.get("bytes") or item.get("path")
    if isinstance(item, Image.Image):
        return _decode_pil(item, name)
    if isinstance(item, str | Path):
        return decode_file(Path(item).expanduser(), printable(str(item)))
    if isinstance(item, bytes | bytearray):
        return decode_bytes(bytes(item), name)
    if isinstance(item, Tensor):
        item = item.detach().cpu()
        item = item.movedim(0, -1) if item.ndim == 3 else item
        item = (item.float() if item.is_floating_point() else item).numpy()
    if isinstance(item, np.ndarray):
        return Decoded(_from_array(item, name, signed))
    raise ImageInputError(
        f"{name} is a {type(item).__name__}, not an image; pass paths, PIL images, arrays or tensors."
    )


def _decode_pil(image: Image.Image, name: str) -> Decoded:
    check_pixels(image, name)
    try:
        return finish(image)
    except Exception as error:  # an image opened from a file that is damaged or closed by now
        raise ImageInputError(
            f"{name} cannot be loaded ({error}); pass its path, or an image after load()."
        ) from error


def _from_array(array: np.ndarray[Any, Any], name: str, signed: bool) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)) or 0 in array.shape:
        raise ImageInputError(
            f"{name} has the shape {array.shape} (height, width, channels); images need 1 to 4 channels."
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.dtype == np.uint16 and array.ndim == 2:
        return Image.fromarray(array)
    if array.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array))
    if array.dtype.kind != "f":
        raise ImageInputError(f"{name} has values of type {array.dtype}; convert them to uint8 (0 to 255).")
    return Image.fromarray(_levels(array, name, signed))


def _levels(array: np.ndarray[Any, Any], name: str, signed: bool) -> np.ndarray[Any, Any]:
    low, high = float(array.min()), float(array.max())
    if not (low >= (-1.001 if signed else -0.001) and high <= 1.001):  # written so that NaN fails too
        raise ImageInputError(
            f"{name} has float values from {low:.4g} to {high:.4g}; they must all be in [0, 1] or "
            "in [-1, 1]. Remove other normalisation, or pass uint8."
        )
    unit = (array + 1) / 2 if signed else array
    return np.ascontiguousarray((unit * 255 + 0.5).clip(0, 255).astype(np.uint8))


def _is_signed(items: Iterable[Any]) -> bool:
    """Whether the floats among the first items go below zero."""
    for item in islice(items, PROBED):
        if isinstance(item, Tensor):
            is_float = item.is_floating_point()
        else:
            is_float = isinstance(item, np.ndarray) and item.dtype.kind == "f"
        if is_float and 0 not in item.shape and float(item.min()) < -0.001:
            return True
    return False


def _image_column(columns: list[str], features: Mapping[str, Any], column: str | None) -> str:
    if column is not None:
        if column not in columns:
            raise ImageInputError(f"the dataset has no column {column!r}; it has {', '.join(columns)}.")
        return column
    typed = [name for name in columns if type(features.get(name)).__name__ == "Image"]
    named = [name for name in IMAGE_KEYS if name in columns]
    found = typed or named
    if not found:
        raise ImageInputError(
            f"none of the columns {', '.join(columns)} holds images; name the right one, such as column='picture'."
        )
    return found[0]
