"""Reading checkpoints of other projects: tensors and plain values only, nothing stored in them is run."""

import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowshotgan.errors import WeightsFormatError
from lowshotgan.hub.digest import sha256_file

Rule = tuple[str, str | Callable[[re.Match[str]], str]]
"""A pattern for a whole name, and what replaces it."""


@dataclass(frozen=True)
class Converted:
    """What a foreign file became.

    Attributes:
        arch: nearest architecture of the library.
        config: constructor arguments that differ from those of ``arch``.
        generator: tensors by the library's names.
        discriminator: the same, or ``None`` if there was none.
        details: where it came from, and under which licence.
    """

    arch: str
    config: dict[str, Any]
    generator: dict[str, Tensor]
    discriminator: dict[str, Tensor] | None
    details: dict[str, Any] = field(default_factory=dict)


def read_foreign(path: str | Path) -> dict[str, Any]:
    """The content of a ``.pt`` or ``.pth`` file.

    Raises:
        WeightsFormatError: if the file is missing, damaged, no mapping, or holds anything but tensors and plain values.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsFormatError(f"{path} is not a file; give the path of the downloaded checkpoint.")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f" (it asks for {named[1]})" if named else ""
        raise WeightsFormatError(
            f"{path} holds more than tensors{what} and is not opened: loading it could run foreign code. Ask its author "
            "for a file of tensors only."
        ) from error
    except Exception as error:  # damaged archives raise many kinds
        raise WeightsFormatError(f"{path} cannot be read ({error}); download it again.") from error
    if not isinstance(found, Mapping):
        raise WeightsFormatError(f"{path} holds a {type(found).__name__}, not a checkpoint.")
    return dict(found)


def tensors_of(state: Any, where: str) -> dict[str, Tensor]:
    """A state dictionary without a leading ``module.``, as float32.

    Raises:
        WeightsFormatError: if it is none.
    """
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsFormatError(f"{where} is no state dictionary of tensors; it belongs to another program.")
    return {str(name).removeprefix("module."): value.float() for name, value in state.items()}


def rename(
    tensors: Mapping[str, Tensor],
    rules: Iterable[Rule],
    *,
    drop: str,
    where: str,
) -> dict[str, Tensor]:
    """Tensors by new names.

    Args:
        tensors: by old names.
        rules: pairs of a pattern for a whole old name and its replacement; the first that fits counts.
        drop: pattern of names that are left out.
        where: for messages.

    Raises:
        WeightsFormatError: naming the tensors that no rule fits.
    """
    rules, renamed, unknown = list(rules), {}, []
    for name, tensor in tensors.items():
        if re.fullmatch(drop, name):
            continue
        for pattern, replacement in rules:
            if re.fullmatch(pattern, name):
                renamed[re.sub(f"^(?:{pattern})$", replacement, name)] = tensor
                break
        else:
            unknown.append(name)
    if unknown:
        raise WeightsFormatError(f"{where}: {len(unknown)} unknown tensors, the first is {unknown[0]!r}.")
    return renamed


def highest(tensors: Mapping[str, Tensor], pattern: str, where: str) -> int:
    """The highest number in the first group of ``pattern`` over all names that fit it.

    Raises:
        WeightsFormatError: if none fits.
    """
    numbers = [int(found[1]) for name in tensors if (found := re.fullmatch(pattern, name))]
    if not numbers:
        raise WeightsFormatError(f"{where} lacks tensors like {pattern!r}; it is not a file of this format.")
    return max(numbers)


def provenance(path: str | Path, source: str, license: str, **more: Any) -> dict[str, Any]:
    """What to record of a converted file."""
    return {"source": source, "license": license, "source_sha256": sha256_file(Path(path)), **more}
