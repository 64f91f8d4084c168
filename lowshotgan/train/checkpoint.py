"""Atomic checkpoints of a whole training state, read without running code from the file."""

import os
from pathlib import Path
from typing import Any

import torch

from lowshotgan.errors import CheckpointError

LATEST = "latest.pt"
PREVIOUS = "previous.pt"


def save_checkpoint(folder: Path, state: dict[str, Any], *, name: str = LATEST) -> Path:
    """Write ``state`` (tensors, numbers, strings, lists, dicts) so that a kill at any moment leaves a readable file.

    The file is written under a temporary name, flushed to disk and renamed; the former ``latest.pt`` is kept as
    ``previous.pt``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    target = folder / name
    if name == LATEST and target.exists():
        os.replace(target, folder / PREVIOUS)
    os.replace(temporary, target)
    for leftover in folder.glob(f".{name}.*.tmp"):
        leftover.unlink(missing_ok=True)
    return target


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest readable state in ``folder``, or ``None`` if it holds no checkpoint.

    Raises:
        CheckpointError: if there are checkpoints and none can be read.
    """
    found = [folder / name for name in (LATEST, PREVIOUS) if (folder / name).exists()]
    failures = []
    for path in found:
        try:
            return read_checkpoint(path)
        except CheckpointError as error:
            failures.append(str(error))
    if failures:
        raise CheckpointError(" ".join(failures) + " Start again with resume='never' or another output folder.")
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint file; raises ``CheckpointError`` if it is damaged or holds anything but plain data."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"Checkpoint {path} cannot be read ({type(error).__name__}: {error}).") from error
    if not isinstance(state, dict) or "stage" not in state:
        raise CheckpointError(f"{path} is not a training checkpoint of this library.")
    return state
