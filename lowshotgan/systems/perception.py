"""The perceptual distance V of the paired systems (Kao et al., ICPR 2020, released code)."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.losses.reconstruction import layered_difference
from lowshotgan.messages import tell
from lowshotgan.nets.residual import ResidualDiscriminator
from lowshotgan.systems.vgg19 import load_vgg19, vgg19_file

WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of the maps, from fine to coarse."""
PERCEPTUAL = ("auto", "vgg", "disc")
NORMS = ("none", "imagenet")
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
    if choice == "vgg" or (choice == "auto" and vgg19_file().is_file()):
        net = load_vgg19(normalize=norm == "imagenet", instead="perceptual='disc'").to(device)
        tell("perceptual distance: VGG-19")
        return Perception("vgg", net.maps)
    frozen = copy.deepcopy(discriminator).to(device).eval().requires_grad_(False)
    tell("perceptual distance: blocks of the source discriminator")
    return Perception("disc", frozen.maps)
