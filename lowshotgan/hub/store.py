"""A model on disk: a folder with ``config.json``, ``model.safetensors`` and perhaps
``discriminator.safetensors``.

    config.json = {"format_version": 1, "lowshotgan_version": "...", "arch": "stylegan2_64",
                   "system": "stylegan2", "config": {constructor arguments}, ...}

Loading is config + tensors and runs no stored code. What callers need of the neighbouring files (deltas,
digests, single safetensors files) can be imported from here as well.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lowshotgan import __version__
from lowshotgan.errors import ConfigError
from lowshotgan.hub.deltas import Delta, read_delta, write_delta
from lowshotgan.hub.digest import sha256_file
from lowshotgan.hub.files import (
    CARD,
    CONFIG,
    DISCRIMINATOR,
    FORMAT_VERSION,
    MODEL,
    plain_name,
    read_config,
    write_json,
)
from lowshotgan.hub.tensors import (
    OTHER_ARGUMENTS,
    check_finite,
    check_same_tensors,
    image_fingerprint,
    load_strict,
    read_tensors,
    state_digest,
    write_tensors,
)

__all__ = [
    "CARD",
    "CONFIG",
    "DISCRIMINATOR",
    "FORMAT_VERSION",
    "MODEL",
    "OTHER_ARGUMENTS",
    "Delta",
    "check_finite",
    "check_same_tensors",
    "image_fingerprint",
    "load_strict",
    "read_config",
    "read_delta",
    "read_tensors",
    "sha256_file",
    "state_digest",
    "write_delta",
    "write_model_folder",
    "write_tensors",
]


def write_model_folder(
    folder: str | Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    discriminator: Mapping[str, Tensor] | None = None,
    extra_files: Mapping[str, str | bytes | Path] | None = None,
    half: bool = False,
    license: str | None = None,
) -> Path:
    """Write a model folder; the configuration goes last, so a folder that has one is complete.

    Args:
        folder: made if needed; files of the same names are replaced, others are left alone.
        config: at least ``arch``, ``system`` and ``config`` (constructor arguments), plain JSON;
            ``format_version`` and ``lowshotgan_version`` are added.
        tensors: state of the (averaged) generator, by name.
        discriminator: state of the discriminator, for models that will be fine-tuned.
        extra_files: further files by name: text, bytes, or the path of a file to copy.
        half: store large floating tensors as float16 (see ``write_tensors``).
        license: SPDX name of the weights' licence, written into the headers.

    Returns:
        The folder.

    Raises:
        ConfigError: if ``config`` lacks a key or an extra file's name is not a plain one.
        WeightsFormatError: if a tensor holds NaN or infinite values; nothing is replaced then.
    """
    folder = Path(folder)
    full = {"format_version": FORMAT_VERSION, "lowshotgan_version": __version__, **config}
    missing = [key for key in ("arch", "system", "config") if key not in full]
    if missing:
        raise ConfigError(f"the configuration lacks {', '.join(missing)}; a model folder needs all three.")
    files = {plain_name(name): content for name, content in (extra_files or {}).items()}
    for part in (tensors, discriminator or {}):
        for name, tensor in part.items():
            check_finite(name, tensor, where=f"{folder} not written")
    folder.mkdir(parents=True, exist_ok=True)
    header = {"lowshotgan": __version__} | ({"license": license} if license else {})
    write_tensors(folder / MODEL, tensors, half=half, metadata=header)
    if discriminator is not None:
        write_tensors(folder / DISCRIMINATOR, discriminator, half=half, metadata=header)
    for name, content in files.items():
        _write_extra(folder / name, content)
    write_json(folder / CONFIG, full)
    return folder


def _write_extra(target: Path, content: str | bytes | Path) -> None:
    if isinstance(content, Path):
        if not (target.exists() and content.samefile(target)):
            shutil.copyfile(content, target)
    elif isinstance(content, bytes):
        target.write_bytes(content)
    else:
        target.write_text(content, encoding="utf-8")
