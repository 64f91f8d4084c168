"""Frozen networks that compare images with those they should be, while a system trains."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.errors import WeightsError
from lowshotgan.losses.reconstruction import absolute_difference, feature_distance
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.nets.fastgan import shrink
from lowshotgan.nets.features import FeatureNet
from lowshotgan.systems.vgg19 import load_vgg19, vgg19_file

SIDE = 64


@dataclass(frozen=True)
class Perceptual:
    """Distance between images: absolute difference plus feature distance at 64 px.

    Attributes:
        name: "lsg1" or "random", for the model card.
        maps: from ``(B, 3, 64, 64)`` in [-1, 1] to maps of several scales.
    """

    name: str
    maps: Callable[[Tensor], Sequence[Tensor]]

    def __call__(self, images: Tensor, target: Tensor) -> Tensor:
        """``(B,)`` distances of ``images`` from ``target``, both ``(B, 3, r, r)`` in [-1, 1]; smooth in the first."""
        with torch.no_grad():
            wanted = self.maps(shrink(target, SIDE))
        features = feature_distance(self.maps(shrink(images, SIDE)), wanted)
        return absolute_difference(images, target) + features


def load_perceptual(choice: str, device: torch.device) -> Perceptual:
    """The distance ``choice`` names: "lsg1", "random", or "auto" for the first of them that can be had offline.

    Raises:
        WeightsNotFoundError: for "lsg1" if it is not on this disk.
    """
    if choice != "random":
        try:
            net = cast(FeatureNet, load_extractor("lsg1", device=device).net)
            return Perceptual("lsg1", net.maps)
        except WeightsError:
            if choice == "lsg1":
                raise
    return Perceptual("random", _random_network(device).maps)


def _random_network(device: torch.device) -> FeatureNet:
    """The feature network with the random weights of seed 0; the caller's random state is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = FeatureNet()
    return net.to(device).eval().requires_grad_(False)


@dataclass(frozen=True)
class FeatureMaps:
    """Frozen features of several scales, for semantic and style terms.

    Attributes:
        name: "vgg19", "lsg1" or "random", for the model card.
        maps: from ``(B, 3, H, W)`` in [-1, 1] to maps.
    """

    name: str
    maps: Callable[[Tensor], Sequence[Tensor]]


def load_maps(choice: str, device: torch.device) -> FeatureMaps:
    """The features ``choice`` names: "vgg19" (torchvision's, if its file is on this disk), "lsg1", "random", or "auto"
    for the first of them that can be had offline. The library's own network sees images at 64 px.

    Raises:
        WeightsNotFoundError: for "vgg19" or "lsg1" if it is not on this disk.
    """
    if choice == "vgg19" or (choice == "auto" and vgg19_file().is_file()):
        return FeatureMaps("vgg19", load_vgg19(instead="perceptual='lsg1'").to(device).maps)
    own = load_perceptual("auto" if choice == "auto" else choice, device)
    return FeatureMaps(own.name, lambda images: own.maps(_at_side(images)))


def _at_side(images: Tensor) -> Tensor:
    return F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", antialias=True)
