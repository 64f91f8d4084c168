"""The small text files of a model folder and the names of all of them. Imports no torch."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowshotgan import __version__
from lowshotgan.errors import ConfigError, WeightsFormatError, WeightsNotFoundError

CONFIG = "config.json"
MODEL = "model.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
DELTA_CONFIG = "adapter_config.json"
DELTA_TENSORS = "adapter_model.safetensors"
CARD = "README.md"

FORMAT_VERSION = 1
"""Version of the folder format; every release reads this one and all older ones."""

_LARGEST_JSON = 4 << 20  # bytes; a configuration is a few hundred, and a hub file may be anything


def plain_name(name: str, *, what: str = "file name") -> str:
    """Return ``name`` if it names a file right inside its folder, else raise ``ConfigError``."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", name):
        raise ConfigError(
            f"{what} must be letters, digits, '_', '-' and '.' without folders, got {name!r}; for example {MODEL!r}."
        )
    return name


def read_json(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        WeightsNotFoundError: if there is no such file.
        WeightsFormatError: if it is no JSON object, not UTF-8, or larger than 4 MiB.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsNotFoundError(f"there is no file {path}.")
    if path.stat().st_size > _LARGEST_JSON:
        raise WeightsFormatError(f"{path} has {path.stat().st_size:,} bytes, too many for a configuration file.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WeightsFormatError(f"{path} is not valid JSON ({error}); restore it or save the model again.") from error
    if not isinstance(content, dict):
        raise WeightsFormatError(f"{path} must hold a JSON object, found {type(content).__name__}; save it again.")
    return content


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a JSON object under a temporary name that is renamed at the end."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, path)
    return path


def read_config(path: str | Path) -> dict[str, Any]:
    """The checked ``config.json`` of a model folder.

    Args:
        path: the folder, or the file itself.

    Returns:
        The whole object; ``arch``, ``system`` and ``config`` (constructor arguments) are present.

    Raises:
        WeightsNotFoundError: if the folder or the file does not exist.
        WeightsFormatError: if it is damaged, incomplete, or written by a newer format.
    """
    path = Path(path)
    file = path / CONFIG if path.is_dir() else path
    if not file.is_file():
        kind = "has no config.json" if path.is_dir() else "does not exist"
        raise WeightsNotFoundError(
            f"{path} {kind}; a model folder holds {CONFIG} and {MODEL}, as save_pretrained() writes them."
        )
    content = read_json(file)
    check_format_version(content, file)
    for key, expected in {"arch": str, "system": str, "config": dict}.items():
        if not isinstance(content.get(key), expected):
            raise WeightsFormatError(
                f"{file}: {key!r} must be {'an object' if key == 'config' else 'a text'}, "
                f"found {content.get(key)!r}; save the model again with save_pretrained()."
            )
    if not isinstance(content.get("details", {}), dict):
        raise WeightsFormatError(f"{file}: 'details' must be an object, found {content['details']!r}; save it again.")
    return content


def check_format_version(content: Mapping[str, Any], file: str | Path) -> None:
    """Raise ``WeightsFormatError`` if ``format_version`` is missing, no number, or newer than this one."""
    version = content.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise WeightsFormatError(
            f"{file}: 'format_version' must be a whole number from 1, found {version!r}; save it again."
        )
    if version > FORMAT_VERSION:
        raise WeightsFormatError(
            f"{file} has format_version {version}, this lowshotgan ({__version__}) reads up to "
            f"{FORMAT_VERSION}. It was written by {content.get('lowshotgan_version', 'a newer version')}: "
            f"pip install --upgrade lowshotgan."
        )
