"""Torchvision's ImageNet weights of VGG-19, from a file that is on this disk already."""

from pathlib import Path

from lowshotgan.errors import WeightsFormatError
from lowshotgan.nets.vgg import VGG19Features
from lowshotgan.systems.torchvision_weights import read_weights, weights_file


def vgg19_file() -> Path:
    """Where torchvision keeps the weights it has downloaded."""
    return weights_file("vgg19")


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
    stored = read_weights("vgg19", instead=instead)
    net = VGG19Features(normalize=normalize)
    try:
        net.load_state_dict({name: stored[name] for name in net.state_dict()})
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsFormatError(
            f"{vgg19_file()} does not hold torchvision's VGG-19 ({error}); fetch it again."
        ) from error
    return net.eval().requires_grad_(False)
