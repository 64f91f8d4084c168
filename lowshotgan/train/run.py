"""The folder a training writes: resolved configuration, log, previews, checkpoints, final model, report.

config.json  log.jsonl  previews/*.png  checkpoints/*.pt  snapshots/*.safetensors  model/  report.html  report.json
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowshotgan.errors import ConfigError
from lowshotgan.hub.files import write_json
from lowshotgan.types import PathLike

CONFIG = "config.json"
MODEL = "model"
CHECKPOINTS = "checkpoints"
SNAPSHOTS = "snapshots"


class RunFolder:
    """Paths of one run.

    Args:
        path: the folder; it may exist if it is empty or a run.

    Raises:
        ConfigError: if it is a file, or a folder that holds other things.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path).expanduser()
        if self.path.is_file():
            raise ConfigError(f"output_dir {self.path} is a file; give a folder.")
        if self.path.is_dir() and any(self.path.iterdir()) and not is_run(self.path):
            raise ConfigError(f"output_dir {self.path} holds other files; give a new or empty folder.")

    @property
    def model(self) -> Path:
        """Where the final model is saved."""
        return self.path / MODEL

    def snapshot(self, step: int) -> Path:
        """Where what was trained until ``step`` is kept, if it is one of the snapshots of a fine-tuning."""
        return self.path / SNAPSHOTS / f"step-{step:06d}.safetensors"

    @property
    def snapshots(self) -> dict[int, Path]:
        """The kept snapshots by step."""
        return {
            int(path.stem.removeprefix("step-")): path for path in (self.path / SNAPSHOTS).glob("step-*.safetensors")
        }

    def begin(self, config: Mapping[str, Any]) -> None:
        """Make the folder and write the resolved configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / CONFIG, {"kind": "run", **config})


def is_run(path: Path) -> bool:
    """Whether a folder was written by a training."""
    if (path / CHECKPOINTS).is_dir():
        return True
    try:
        return bool(json.loads((path / CONFIG).read_text(encoding="utf-8")).get("kind") == "run")
    except (OSError, ValueError, AttributeError):
        return False


def as_text(config: Mapping[str, Any]) -> str:
    """A resolved configuration as JSON, the same text for equal ones."""
    return json.dumps(config, sort_keys=True, default=str)


def identity(config: Mapping[str, Any]) -> str:
    """Digest of a resolved configuration; a checkpoint is continued only under the same one."""
    return hashlib.sha256(as_text(config).encode()).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Where two resolved configurations differ, as ``recipe.lr (0.002 before, 0.001 now)``."""
    found = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif as_text({key: old}) != as_text({key: new}):
            found.append(f"{prefix}{key} ({_short(old)} before, {_short(new)} now)")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."
