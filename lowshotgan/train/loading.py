"""Models from wherever they are: published weights, runs, model folders, deltas with their base."""

from pathlib import Path
from typing import Any

from lowshotgan.errors import ConfigError, DeltaError, WeightsError, WeightsNotFoundError
from lowshotgan.hub.remote import resolve_model
from lowshotgan.hub.store import read_delta
from lowshotgan.messages import warn
from lowshotgan.systems.base import load_system
from lowshotgan.train.run import MODEL, RunFolder, is_run
from lowshotgan.types import PathLike


def load_any(name: PathLike, *, local_files_only: bool, revision: str | None = None, with_base: bool = True) -> Any:
    """As ``api.load``, on the CPU; a fine-tuned model gets its base beside it only ``with_base``."""
    path = Path(str(name).removeprefix("local-dir:")).expanduser()
    if path.is_dir() and is_run(path):
        if not (path / MODEL / "config.json").is_file():
            raise WeightsNotFoundError(
                f"{path} is a run without a finished model; run its command again to finish it."
            )
        path = path / MODEL
    has_delta = path.is_dir() and (path / "adapter_config.json").is_file()
    if (has_delta and not (path / "config.json").is_file()) or (path.suffix == ".safetensors" and path.is_file()):
        system = _from_delta(path, local_files_only=local_files_only)
        system.source_name = str(name)
        return system
    target: PathLike = path if path.is_dir() else name
    files = resolve_model(target, discriminator=True, local_files_only=local_files_only, revision=revision)
    system = load_system(files, name=str(name) if path.is_dir() else files.name)
    if has_delta and with_base:
        _add_base(system, path)
    return system


def snapshot_of(name: PathLike, step: int) -> Path:
    """The delta of a snapshot that a run folder keeps."""
    path = Path(str(name)).expanduser()
    kept = RunFolder(path).snapshots if path.is_dir() and is_run(path) else {}
    if step not in kept:
        steps = f"it has those of steps {', '.join(map(str, sorted(kept)))}" if kept else "finetune writes them"
        raise ConfigError(f"{name} keeps no snapshot of step {step}; {steps}.")
    return kept[step]


def _from_delta(path: Path, *, local_files_only: bool = False) -> Any:
    """The base a delta names, with the delta applied."""
    delta = read_delta(path)
    if delta.base is None:
        raise WeightsNotFoundError(
            f"{path} names no base model; load the base and use base.apply_delta({str(path)!r})."
        )
    if Path(delta.base).expanduser().resolve() == path.resolve():
        raise DeltaError(f"{path} names itself as its base, so the base was overwritten; save the delta elsewhere.")
    return load_any(delta.base, local_files_only=local_files_only, with_base=False).apply_delta(path)


def _add_base(system: Any, folder: Path) -> None:
    """Give a fine-tuned model its base back, if that is on this disk and still what it was; the weights stay as stored."""
    try:
        found = _from_delta(folder, local_files_only=True)
    except (WeightsNotFoundError, ConfigError):
        return
    except WeightsError as error:
        warn(f"{folder} was loaded without its base, so that it cannot be blended: {error}")
        return
    system.adopt(found.adapted, base_name=found.base_name)
