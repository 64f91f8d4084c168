"""The perceptual distance V of the paired systems (Kao et al., ICPR 2020, released code)."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.errors import WeightsHashError, WeightsNotFoundError
from lowshotgan.hub.digest import sha256_file
from lowshotgan.losses.reconstruction import layered_difference
from lowshotgan.messages import tell
from lowshotgan.nets.residual import ResidualDiscriminator
from lowshotgan.nets.vgg import VGG19Features

WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of the maps, from fine to coarse."""
PERCEPTUAL = ("auto", "vgg", "disc")
NORMS = ("none", "imagenet")
VGG_FILE = "vgg19-dcbb9e9d.pth"
"""torchvision's ImageNet weights; the end of the name is the start of the file's SHA-256."""
SMALLEST = 2


@dataclass(frozen=True)
class Perception:
    """Weighted absolute difference of the feature maps of a frozen network.

    Attributes:
        name: "vgg" or "disc", for the model card.
        maps: from images ``(B, 3, R, R)`` in [-1, 1] to maps from fine to coarse.
    """

    name: str
    maps: Callable[[Tensor], Sequence[Tensor]]

    def __call__(self, images: Tensor, target: Tensor) -> Tensor:
        """``(B,)`` distances of ``images`` from ``target``, both ``(B, 3, R, R)``; only ``images`` receives a gradient.

        Maps smaller than 2 x 2 are left out.
        """
        with torch.no_grad():
            wanted = self.maps(target)
        large = [number for number, one in enumerate(wanted[: len(WEIGHTS)]) if min(one.shape[2:]) >= SMALLEST]
        found = self.maps(images)
        return layered_difference([found[n] for n in large], [wanted[n] for n in large], [WEIGHTS[n] for n in large])


def load_perception(
    choice: str, discriminator: ResidualDiscriminator, *, norm: str = "none", device: torch.device
) -> Perception:
    """The distance ``choice`` names.

    Args:
        choice: "vgg" (VGG-19, from a file in torch's hub folder), "disc" (the blocks of a frozen copy of
            ``discriminator``), or "auto", the first of them that can be had offline; which it was is logged.
        discriminator: that of the source domain.
        norm: "none" feeds VGG-19 images in [-1, 1] as the release does, "imagenet" as it was trained.
        device: where the network runs.

    Raises:
        WeightsNotFoundError: for "vgg" if the file is not on this disk.
        WeightsHashError: if the file is not torchvision's.
    """
    one_of("perceptual", choice, PERCEPTUAL)
    one_of("perceptual_norm", norm, NORMS)
    path = Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE
    if choice == "vgg" and not path.is_file():
        raise WeightsNotFoundError(
            f"the ImageNet weights of VGG-19 are not in {path.parent}; put torchvision's {VGG_FILE} there, or use "
            "perceptual='disc'."
        )
    if choice != "disc" and path.is_file():
        net = _load_vgg(path, normalize=norm == "imagenet").to(device)
        tell("perceptual distance: VGG-19")
        return Perception("vgg", net.maps)
    frozen = copy.deepcopy(discriminator).to(device).eval().requires_grad_(False)
    tell("perceptual distance: blocks of the source discriminator")
    return Perception("disc", frozen.maps)


def _load_vgg(path: Path, *, normalize: bool) -> VGG19Features:
    digest = sha256_file(path)
    if not digest.startswith(path.stem.rpartition("-")[2]):
        raise WeightsHashError(f"{path} has the SHA-256 {digest[:8]}...; remove it and fetch torchvision's again.")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    net = VGG19Features(normalize=normalize)
    net.load_state_dict({name: stored[name] for name in net.state_dict()}, strict=True)
    return net.eval().requires_grad_(False)
