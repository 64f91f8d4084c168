"""Atomic checkpoints of a whole training state, read without running code from the file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lowshotgan.errors import CheckpointError
from lowshotgan.train.run import as_text, differences, identity

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


def marks(config: Mapping[str, Any]) -> dict[str, str]:
    """What a checkpoint keeps of the configuration it was made with."""
    return {"identity": identity(config), "config": as_text(config)}


def check_resumable(saved: dict[str, Any] | None, config: Mapping[str, Any], folder: Path, *, resume: str) -> None:
    """Complain, naming what differs, if ``saved`` was made with another configuration, or "must" finds nothing.

    Raises:
        CheckpointError: with what to do about it.
    """
    if saved is None:
        if resume == "must":
            raise CheckpointError(f"resume='must' but {folder} holds no checkpoint; use resume='auto' to start one.")
        return
    if saved["identity"] == identity(config):
        return
    before, now = json.loads(saved.get("config", "null")), json.loads(as_text(config))
    changed = [] if before is None else differences(before, now)  # older checkpoints keep the digest alone
    raise CheckpointError(
        f"{folder} holds a checkpoint made with other settings or images{': ' * bool(changed)}{', '.join(changed[:5])}. "
        "Set them back, choose another output folder, or start again there with resume='never'."
    )
