"""Torchvision's ImageNet weights, from files that are on this disk already; nothing here downloads."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowshotgan.errors import WeightsFormatError, WeightsHashError, WeightsNotFoundError
from lowshotgan.hub.digest import sha256_file

FILES = {"vgg16": "vgg16-397923af.pth", "vgg19": "vgg19-dcbb9e9d.pth"}
"""The end of a name is the start of the file's SHA-256."""


def weights_file(name: str) -> Path:
    """Where torchvision keeps the weights of ``name`` ("vgg16" or "vgg19") once it has downloaded them."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILES[name]


def need_file(name: str, *, instead: str) -> Path:
    """The path of ``weights_file``.

    Raises:
        WeightsNotFoundError: if there is no such file; says how to fetch it, and what to use ``instead``.
    """
    path = weights_file(name)
    if not path.is_file():
        raise WeightsNotFoundError(
            f'{path} does not exist; fetch it once with python -c "import torchvision; '
            f"torchvision.models.{name}(weights='DEFAULT')\", or use {instead}."
        )
    return path


def read_weights(name: str, *, instead: str) -> dict[str, Tensor]:
    """The tensors of a network by torchvision's names.

    Args:
        name: "vgg16" or "vgg19".
        instead: for the error message, what to use if the weights cannot be had.

    Raises:
        WeightsNotFoundError: if the file is not on this disk.
        WeightsHashError: if the file is not torchvision's.
        WeightsFormatError: if it holds no tensors by name.
    """
    path = need_file(name, instead=instead)
    digest = sha256_file(path)
    if not digest.startswith(path.stem.rpartition("-")[2]):
        raise WeightsHashError(f"{path} has the SHA-256 {digest[:8]}...; remove it and fetch torchvision's again.")
    stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(stored, dict):
        raise WeightsFormatError(f"{path} does not hold torchvision's {name}; fetch it again.")
    return stored
