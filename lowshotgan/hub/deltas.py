"""Fine-tuned deltas: only the trained tensors, tied to the digest of the base weights they were trained on.

On disk either a folder with the file names PEFT uses (``adapter_config.json``, ``adapter_model.safetensors``)
or one ``.safetensors`` file that carries the same configuration in its header.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from lowshotgan import __version__
from lowshotgan.errors import DeltaError, WeightsFormatError
from lowshotgan.hub.files import (
    DELTA_CONFIG,
    DELTA_TENSORS,
    FORMAT_VERSION,
    check_format_version,
    read_json,
    write_json,
)
from lowshotgan.hub.tensors import read_tensors_and_metadata, write_tensors

_HEADER_KEY = "lowshotgan_delta"


@dataclass(frozen=True)
class Delta:
    """What was trained, and on what.

    Attributes:
        tensors: the trained tensors by name, float32.
        base_digest: ``state_digest`` of the base generator.
        base: name or repository of the base model, as a person would write it; ``None`` if it has none.
        config: whatever is needed to apply the tensors (trainable, recipe, constructor arguments), plain
            JSON.
    """

    tensors: Mapping[str, Tensor]
    base_digest: str
    base: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def check_base(self, digest: str, *, where: str = "this delta") -> None:
        """Raise ``DeltaError`` unless ``digest`` is the digest of the base it was trained on."""
        if digest != self.base_digest:
            base = f" ({self.base})" if self.base else ""
            raise DeltaError(
                f"{where} was trained on base weights {self.base_digest[:16]}...{base}, but the model it is "
                f"applied to has {digest[:16]}.... Load exactly that base model, then apply the delta."
            )


def write_delta(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    *,
    base_digest: str,
    base: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Save a delta; float32, so that loading gives back the very same bits.

    Args:
        path: a folder (made if needed), or a file whose name ends with ``.safetensors``.
        tensors: the trained tensors by name.
        base_digest: ``state_digest`` of the base generator.
        base: name or repository of the base model.
        config: plain JSON needed to apply the tensors.

    Returns:
        ``path``.

    Raises:
        DeltaError: if there is nothing to save.
        WeightsFormatError: if a value is NaN or infinite.
    """
    path = Path(path)
    if not tensors:
        raise DeltaError("the delta holds no tensors; save_delta() needs a fine-tuned model with trained parameters.")
    about = {
        "format_version": FORMAT_VERSION,
        "library_name": "lowshotgan",
        "lowshotgan_version": __version__,
        "base_model_name_or_path": base,
        "base_sha256": base_digest,
        "config": dict(config or {}),
    }
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    if path.suffix == ".safetensors":
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_tensors(path, floats, metadata={_HEADER_KEY: json.dumps(about)})
    path.mkdir(parents=True, exist_ok=True)
    write_tensors(path / DELTA_TENSORS, floats)
    write_json(path / DELTA_CONFIG, about)
    return path


def read_delta(path: str | Path, *, base_digest: str | None = None) -> Delta:
    """Load a delta written by ``write_delta``.

    Args:
        path: the folder or the ``.safetensors`` file.
        base_digest: ``state_digest`` of the model it is about to be applied to, checked when given.

    Raises:
        DeltaError: if there is no delta at ``path``, or it was trained on other base weights.
        WeightsFormatError: if its files are damaged or of a newer format.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / DELTA_CONFIG).is_file() or not (path / DELTA_TENSORS).is_file():
            raise DeltaError(f"{path} holds no delta; it needs {DELTA_CONFIG} and {DELTA_TENSORS}.")
        about, (tensors, _) = read_json(path / DELTA_CONFIG), read_tensors_and_metadata(path / DELTA_TENSORS)
    elif path.is_file():
        tensors, header = read_tensors_and_metadata(path)
        about = _about_from_header(path, header)
    else:
        raise DeltaError(f"there is no delta at {path}; give the folder or file that save_delta() wrote.")
    delta = _to_delta(path, about, tensors)
    if base_digest is not None:
        delta.check_base(base_digest, where=str(path))
    return delta


def _about_from_header(path: Path, header: Mapping[str, str]) -> dict[str, Any]:
    if _HEADER_KEY not in header:
        raise DeltaError(f"{path} is a safetensors file but no delta; load whole models with from_pretrained().")
    try:
        about = json.loads(header[_HEADER_KEY])
    except ValueError as error:
        raise WeightsFormatError(f"{path}: its header is damaged ({error}); save the delta again.") from error
    if not isinstance(about, dict):
        raise WeightsFormatError(f"{path}: its header is damaged (no object); save the delta again.")
    return about


def _to_delta(path: Path, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Delta:
    check_format_version(about, path)
    digest, base, config = (
        about.get("base_sha256"),
        about.get("base_model_name_or_path"),
        about.get("config", {}),
    )
    if not isinstance(digest, str) or not isinstance(base, str | None) or not isinstance(config, dict):
        raise DeltaError(f"{path}: the base model it belongs to is not recorded; save the delta again.")
    return Delta(tensors=tensors, base_digest=digest, base=base, config=config)
