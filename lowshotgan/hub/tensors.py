"""Tensors in safetensors files: written atomically, read back as finite float32, never unpickled."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lowshotgan.checks import same_keys
from lowshotgan.errors import WeightsFormatError

HALF_FROM = 4096
"""Tensors with fewer values stay float32 in half-precision files: they weigh nothing and steer a lot."""

OTHER_ARGUMENTS = (
    "These weights were made with other constructor arguments than the model: published weights need not have the "
    "defaults of their architecture. create_model(name, pretrained=True) and load() build the model they need."
)


def write_tensors(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    *,
    half: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write tensors to one safetensors file, under a temporary name that is renamed at the end.

    Args:
        path: where to; its folder must exist.
        tensors: by name; on any device, of any layout, aliases allowed (each is stored as its own copy).
        half: store floating tensors of at least ``HALF_FROM`` values as float16.
        metadata: text entries for the file's header, added to ``{"format": "pt"}``.

    Raises:
        WeightsFormatError: if a value is NaN or infinite, or becomes infinite in float16.
    """
    path = Path(path)
    stored = {name: _to_store(name, tensor, half) for name, tensor in tensors.items()}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.touch()
        mode = part.stat().st_mode  # safetensors writes files that only their owner can read
        save_file(stored, part, metadata={"format": "pt", **(metadata or {})})
        part.chmod(mode)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def read_tensors(
    path: str | Path,
    *,
    dtype: torch.dtype | None = torch.float32,
    device: str | torch.device = "cpu",
) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, by name.

    Args:
        path: an existing file.
        dtype: floating tensors are converted to it; ``None`` keeps what is stored. Others keep their type.
        device: where the tensors are put.

    Raises:
        WeightsFormatError: if the file is empty, truncated, not safetensors, or holds NaN or infinite values.
    """
    tensors, _ = read_tensors_and_metadata(path, dtype=dtype, device=device)
    return tensors


def read_tensors_and_metadata(
    path: str | Path,
    *,
    dtype: torch.dtype | None = torch.float32,
    device: str | torch.device = "cpu",
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """As ``read_tensors``, together with the text entries of the file's header."""
    path = Path(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsFormatError(_why_unreadable(path, error)) from error
    for name, tensor in stored.items():
        check_finite(name, tensor, where=str(path))
    return {name: _to_load(tensor, dtype, device) for name, tensor in stored.items()}, metadata


def check_finite(name: str, tensor: Tensor, *, where: str) -> None:
    """Raise ``WeightsFormatError`` if a floating tensor holds NaN or infinite values."""
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        bad = int((~torch.isfinite(tensor)).sum())
        raise WeightsFormatError(
            f"{where}: {bad} of {tensor.numel()} values of {name!r} are NaN or infinite; the model diverged "
            f"or the file is damaged. Take an earlier checkpoint or fetch the file again."
        )


def check_same_tensors(what: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Compare names and shapes of two sets of tensors.

    Raises:
        WeightsFormatError: naming how many are missing, unexpected or of another shape, and the first few.
    """
    difference = same_keys(what, list(expected), list(found))
    if difference is not None:
        raise WeightsFormatError(f"{difference}. These weights belong to another model; check arch and config.json.")
    wrong = [name for name in expected if expected[name].shape != found[name].shape]
    if wrong:
        name = wrong[0]
        raise WeightsFormatError(
            f"{what}: {len(wrong)} tensors have another shape, the first is {name!r} with "
            f"{tuple(found[name].shape)} where the model has {tuple(expected[name].shape)}. {OTHER_ARGUMENTS}"
        )


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], *, what: str) -> None:
    """Copy tensors into a module; every name and shape must agree, otherwise nothing is changed.

    Raises:
        WeightsFormatError: if they do not.
    """
    check_same_tensors(what, module.state_dict(), tensors)
    module.load_state_dict(dict(tensors), strict=True)


def state_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values: the identity of a set of weights, whatever file they came from.

    Floating tensors count with their float32 values, so a model has one digest on every device and in memory
    as well as read back from disk.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        values = tensor.float() if tensor.is_floating_point() else tensor
        digest.update(f"{name}\0{tuple(values.shape)}\0{values.dtype}\0".encode())
        digest.update(values.contiguous().numpy().tobytes())
    return digest.hexdigest()


def image_fingerprint(image: Tensor) -> tuple[int, ...]:
    """48 grey levels that say whether a model draws what it should: the mean colours of a 4 x 4 grid of
    blocks.

    Args:
        image: ``(3, H, W)`` in [-1, 1], H and W multiples of 4.

    Returns:
        Levels from 0 to 255, channel by channel; other devices and versions may differ by 1.
    """
    blocks = image.detach().float().cpu().clamp(-1, 1).unfold(1, image.shape[1] // 4, image.shape[1] // 4)
    means = blocks.unfold(2, image.shape[2] // 4, image.shape[2] // 4).mean(dim=(3, 4))  # (3, 4, 4)
    return tuple(int(level) for level in ((means + 1) * 127.5 + 0.5).floor().flatten())


def _to_store(name: str, tensor: Tensor, half: bool) -> Tensor:
    check_finite(name, tensor, where="not written")
    kept = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    if half and kept.is_floating_point() and kept.numel() >= HALF_FROM:
        kept = kept.half()
        check_finite(name, kept, where="too large for float16, not written")
    return kept


def _to_load(tensor: Tensor, dtype: torch.dtype | None, device: str | torch.device) -> Tensor:
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)


_NOT_SAFETENSORS = {
    b"PK": "it is a pickle in a zip, which the library never opens. Save the model with save_pretrained()",
    b"\x80": "it is a pickle, which the library never opens. Save the model with save_pretrained()",
    b"version https://git-lfs": "it is a Git LFS pointer. Run `git lfs pull`, or fetch the file again",
    b"<": "it is a web page, so the download was answered by a login or error page. Fetch the file again",
}


def _why_unreadable(path: Path, error: Exception) -> str:
    if not path.is_file():
        return f"{path} is not a file; give the path of a safetensors file."
    with path.open("rb") as file:
        head = file.read(32)
    if not head:
        return f"{path} is empty (0 bytes); fetch or save it again."
    for magic, reason in _NOT_SAFETENSORS.items():
        if head.startswith(magic):
            return f"{path} is not a safetensors file: {reason}."
    return f"{path} cannot be read as safetensors ({error}); it is truncated or damaged, fetch or save it again."
