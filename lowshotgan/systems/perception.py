"""The perceptual distance V of the paired systems (Kao et al., ICPR 2020, released code)."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.losses.reconstruction import layered_difference
from lowshotgan.messages import tell
from lowshotgan.nets.residual import ResidualDiscriminator, as_rgb
from lowshotgan.systems.frozen_features import load_maps
from lowshotgan.systems.torchvision_weights import need_file
from lowshotgan.systems.vgg19 import load_vgg19, vgg19_file

WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of the maps, from fine to coarse."""
OWN_WEIGHTS = (1.0, 1 / 4, 1 / 4, 1 / 4, 1 / 4)
"""Of the pixels and of the four maps of the library's own network."""
PIXEL_WEIGHT = 10.0
"""Of pixels alone: their differences are about so many times smaller than those of features."""
PERCEPTUAL = ("auto", "vgg", "vgg_or_disc", "disc", "lsg1", "pixels")
INSTEAD = "perceptual='pixels'"
FALLBACK = {"auto": "pixels", "vgg_or_disc": "disc"}
"""What stands in for VGG-19 where its file is not on this disk."""
NORMS = ("none", "imagenet")
SMALLEST = 2


@dataclass(frozen=True)
class Perception:
    """Weighted absolute difference of the feature maps of a frozen network.

    Attributes:
        name: as chosen, for the model card.
        maps: from images ``(B, C, R, R)`` in [-1, 1] to maps from fine to coarse.
        weights: of the maps; further maps are not used.
    """

    name: str
    maps: Callable[[Tensor], Sequence[Tensor]]
    weights: Sequence[float] = WEIGHTS

    def __call__(self, images: Tensor, target: Tensor) -> Tensor:
        """``(B,)`` distances of ``images`` from ``target``, both ``(B, C, R, R)``; only ``images`` receives a gradient.

        Maps smaller than 2 x 2 are left out.
        """
        with torch.no_grad():
            wanted = self.maps(target)
        large = [number for number, one in enumerate(wanted[: len(self.weights)]) if min(one.shape[2:]) >= SMALLEST]
        found = self.maps(images)
        return layered_difference(
            [found[n] for n in large], [wanted[n] for n in large], [self.weights[n] for n in large]
        )


def check_choice(perceptual: str, norm: str) -> None:
    """Raise ``ConfigError`` unless ``load_perception`` knows both names."""
    one_of("perceptual", perceptual, PERCEPTUAL)
    one_of("perceptual_norm", norm, NORMS)


def check_at_hand(perceptual: str) -> None:
    """Raise ``WeightsNotFoundError`` for "vgg" if its file is not on this disk."""
    if perceptual == "vgg":
        need_file("vgg19", instead=INSTEAD)


def load_perception(
    choice: str, discriminator: ResidualDiscriminator, *, norm: str = "none", device: torch.device
) -> Perception:
    """The distance ``choice`` names.

    Args:
        choice: "vgg" (VGG-19, from a file in torch's hub folder), "pixels", "disc" (the blocks of a frozen copy of
            ``discriminator``), "lsg1" (the library's own feature network, its maps scaled to a mean square of 1, and the
            pixels); "auto" is "vgg" where its file is on this disk and "pixels" elsewhere, "vgg_or_disc" falls back to
            "disc". Which it was is logged.
        discriminator: that of the source domain.
        norm: "none" feeds VGG-19 images in [-1, 1] as the release does, "imagenet" as it was trained.
        device: where the network runs.

    Raises:
        WeightsNotFoundError: for "vgg" or "lsg1" if the file is not on this disk.
        WeightsHashError: if the file is not torchvision's.
    """
    check_choice(choice, norm)
    if choice == "vgg" or (choice in FALLBACK and vgg19_file().is_file()):
        net = load_vgg19(normalize=norm == "imagenet", instead=INSTEAD).to(device)
        tell("perceptual distance: VGG-19")
        return Perception("vgg", lambda images: net.maps(as_rgb(images)))
    choice = FALLBACK.get(choice, choice)
    if choice == "pixels":
        tell("perceptual distance: pixels")
        return Perception("pixels", lambda images: [images], (PIXEL_WEIGHT,))
    if choice == "lsg1":
        own = load_maps("lsg1", device).maps
        return Perception("lsg1", lambda images: [images, *map(_unit, own(as_rgb(images)))], OWN_WEIGHTS)
    tell("perceptual distance: blocks of the source discriminator")
    frozen = copy.deepcopy(discriminator).to(device).eval().requires_grad_(False)
    return Perception("disc", frozen.maps)


def _unit(maps: Tensor) -> Tensor:
    """Maps ``(B, C, h, w)`` with a mean square of 1 over the channels of each place."""
    return maps * (maps.square().mean(dim=1, keepdim=True) + 1e-6).rsqrt()
