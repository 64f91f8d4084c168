"""What this machine is and whether the library works on it."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from lowshotgan import __version__
from lowshotgan.errors import LowshotganError
from lowshotgan.hub.manifest import load_manifest
from lowshotgan.hub.remote import resolve_model
from lowshotgan.hub.store import image_fingerprint
from lowshotgan.systems.base import load_system
from lowshotgan.systems.registry import DEFAULT_MODEL
from lowshotgan.train.precision import choose_precision

PACKAGES = ("torch", "torchvision", "huggingface_hub", "safetensors", "numpy", "pillow", "accelerate")
TOLERANCE = 2
"""Grey levels by which a fingerprint image may differ between machines."""


def doctor() -> dict[str, Any]:
    """Versions, device, fastest precision, weights found, and whether the default model draws the image it should.

    Returns:
        Plain values; ``ok`` is true if every check passed, ``problems`` lists what did not and what to do.
    """
    problems: list[str] = []
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return {
        "lowshotgan": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": device,
        "threads": torch.get_num_threads(),
        "precision": str(choose_precision("auto", torch.device(device))).removeprefix("torch."),
        "environment": {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("LOWSHOTGAN_", "HF_")) and "TOKEN" not in name
        },
        "weights": {name: _found(name, problems) for name in load_manifest()},
        "default_model": _check_default(problems),
        "problems": problems,
        "ok": not problems,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _found(name: str, problems: list[str]) -> str | None:
    """The folder an entry's files are in; ``None`` if they are on this disk nowhere, which is no problem by itself."""
    try:
        return str(resolve_model(name, local_files_only=True).model.parent)
    except FileNotFoundError:
        return None
    except LowshotganError as error:
        problems.append(str(error))
        return None


def _check_default(problems: list[str]) -> dict[str, Any]:
    """Load the default model, draw seed 0 and compare it with the published fingerprint."""
    began = time.perf_counter()
    try:
        files = resolve_model(DEFAULT_MODEL, local_files_only=True)
        image = load_system(files, name=DEFAULT_MODEL).generate(seeds=[0]).tensor[0]
    except LowshotganError as error:
        problems.append(str(error))
        return {"name": DEFAULT_MODEL, "matches": None}
    seconds = time.perf_counter() - began
    expected = files.entry.fingerprint if files.entry is not None else None
    matches = None
    if expected is not None:
        found = image_fingerprint(image)
        matches = max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= TOLERANCE
    if matches is False:
        problems.append(
            f"{DEFAULT_MODEL} draws another image for seed 0 than it should; reinstall torch or the weights."
        )
    return {"name": DEFAULT_MODEL, "matches": matches, "seconds_to_first_image": round(seconds, 3)}
