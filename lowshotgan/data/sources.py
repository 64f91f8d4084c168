"""Open whatever the user calls "my images": folder, zip, idx files, a file, a list, a tensor, a dataset."""

import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from lowshotgan.data.base import Source
from lowshotgan.data.files import FolderSource, ZipSource
from lowshotgan.data.idx import IdxSource, find_idx
from lowshotgan.data.items import DatasetSource, ListSource, open_columns
from lowshotgan.data.listing import ARCHIVE_ENDINGS, IMAGE_ENDINGS, VIDEO_ENDINGS
from lowshotgan.errors import ConfigError, ImageInputError

LONGEST_ITERATOR = 1_000_000


def open_source(
    images: Any,
    *,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    classes: Sequence[int] | None = None,
    split: str = "train",
    column: str | None = None,
) -> Source:
    """Open a collection of images without decoding them.

    Args:
        images: one of

            * a folder, searched to any depth, or a zip archive, read in place;
            * a folder with MNIST's idx files (``train-images-idx3-ubyte``, also ``.gz``), or one such file;
            * the path of one image;
            * a list, tuple or iterator of paths, PIL images, arrays or tensors;
            * a tensor ``(N, C, H, W)`` or array ``(N, H, W, C)``: uint8, or floats in [0, 1] or [-1, 1];
            * a torch dataset whose items are images, ``(image, ...)`` tuples or mappings;
            * a dataset of the ``datasets`` library;
            * a ``Source``, which is returned as it is.
        include: of a folder or zip, only what is named: sub-folders, files, or patterns such as ``"*.png"``.
        exclude: of a folder or zip, what is left out, named the same way.
        classes: of idx files, the labels to keep.
        split: of idx files, ``"train"`` or ``"test"``.
        column: image column of a dataset; found by its type or name if left out.

    Raises:
        ImageInputError: if nothing there can be used as images.
        ConfigError: if an option does not belong to this kind of input.
    """
    if isinstance(images, str | Path):
        source = _open_path(_as_path(images), include, exclude, classes, split)
    elif isinstance(images, Source):
        source = images
    else:
        source = _open_object(images, column)
    _check_options(source, images, include=include, exclude=exclude, classes=classes, column=column)
    return source


def _as_path(path: str | Path) -> Path:
    text = str(path)
    if "://" in text or text.startswith(("http:/", "https:/")):
        raise ImageInputError(f"{text} is a web address; download it first and pass the local path.")
    if not text.strip() or "\0" in text:
        raise ImageInputError(f"the path {text!r} cannot be used; pass a folder, zip or image.")
    return Path(path).expanduser()


def _open_path(
    path: Path,
    include: Sequence[str] | None,
    exclude: Sequence[str] | None,
    classes: Sequence[int] | None,
    split: str,
) -> Source:
    try:
        if not path.exists():
            raise ImageInputError(f"{path} does not exist (looked in {Path.cwd()}); check the path.")
        if find_idx(path):
            return IdxSource(path, classes=classes, split=split)
        if path.is_dir():
            return FolderSource(path, include=include, exclude=exclude)
    except OSError as error:
        raise ImageInputError(f"{path} cannot be opened ({error}); check the path and its permissions.") from error
    ending = path.suffix.lower()
    if ending == ".zip" or (ending not in IMAGE_ENDINGS and zipfile.is_zipfile(path)):
        return ZipSource(path, include=include, exclude=exclude)
    if ending in VIDEO_ENDINGS:
        raise ImageInputError(f"{path} is a video; cut frames out of it first and pass their folder.")
    if ending in ARCHIVE_ENDINGS:
        raise ImageInputError(f"{path} is an archive that is not read in place; unpack it or make a zip.")
    return ListSource([path])


def _open_object(images: Any, column: str | None) -> Source:
    if isinstance(images, Image.Image):
        return ListSource([images])
    if isinstance(images, Tensor | np.ndarray):
        return ListSource(_as_items(images))
    if hasattr(images, "column_names"):
        return open_columns(images, column)
    if isinstance(images, list | tuple):
        return ListSource(images, column)
    if isinstance(images, Iterator):
        return ListSource(list(islice(images, LONGEST_ITERATOR)), column)
    if hasattr(images, "__getitem__") and not isinstance(images, dict | bytes):
        return DatasetSource(images, column)
    if hasattr(images, "__iter__") and type(images).__module__.split(".")[0] not in (
        "builtins",
        "collections",
    ):
        return DatasetSource(images, column)  # a stream: says what to do instead
    raise ImageInputError(
        f"cannot use a {type(images).__name__} as images; "
        "pass a folder, zip, list of paths or PIL images, or a dataset."
    )


def _as_items(images: Tensor | np.ndarray[Any, Any]) -> list[Any]:
    if images.ndim not in (3, 4):
        raise ImageInputError(
            f"images have the shape {tuple(images.shape)}; pass a tensor (N, C, H, W) or an array (N, H, W, C)."
        )
    return [images] if images.ndim == 3 else list(images)


def _check_options(source: Source, images: Any, **options: Any) -> None:
    allowed: dict[type[Source], tuple[str, ...]] = {
        FolderSource: ("include", "exclude"),
        ZipSource: ("include", "exclude"),
        IdxSource: ("classes",),
        DatasetSource: ("column",),
        ListSource: ("column",),
    }
    for name, value in options.items():
        if value is not None and (images is source or name not in allowed.get(type(source), ())):
            raise ConfigError(
                f"{name}={value!r} cannot be used with {source.description}: include and exclude are for "
                "folders and zips, classes for idx files, column for datasets. Leave it out."
            )
