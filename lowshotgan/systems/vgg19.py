"""Torchvision's ImageNet weights of VGG-19, from a file that is on this disk already."""

from pathlib import Path

import torch

from lowshotgan.errors import WeightsFormatError, WeightsHashError, WeightsNotFoundError
from lowshotgan.hub.digest import sha256_file
from lowshotgan.nets.vgg import VGG19Features

FILE = "vgg19-dcbb9e9d.pth"
"""The end of the name is the start of the file's SHA-256."""


def vgg19_file() -> Path:
    """Where torchvision keeps the weights it has downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE


def load_vgg19(*, normalize: bool = True, instead: str) -> VGG19Features:
    """The frozen network with these weights.

    Args:
        normalize: as in ``VGG19Features``.
        instead: for the error message, what to use if the weights cannot be had.

    Raises:
        WeightsNotFoundError: if the file is not on this disk.
        WeightsHashError: if the file is not torchvision's.
        WeightsFormatError: if its tensors are not VGG-19's.
    """
    path = vgg19_file()
    if not path.is_file():
        raise WeightsNotFoundError(
            f'{path} does not exist; fetch it once with python -c "import torchvision; '
            f"torchvision.models.vgg19(weights='DEFAULT')\", or use {instead}."
        )
    digest = sha256_file(path)
    if not digest.startswith(path.stem.rpartition("-")[2]):
        raise WeightsHashError(f"{path} has the SHA-256 {digest[:8]}...; remove it and fetch torchvision's again.")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    net = VGG19Features(normalize=normalize)
    try:
        net.load_state_dict({name: stored[name] for name in net.state_dict()})
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsFormatError(f"{path} does not hold torchvision's VGG-19 ({error}); fetch it again.") from error
    return net.eval().requires_grad_(False)
