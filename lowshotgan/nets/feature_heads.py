"""A second judge on a frozen feature network, beside the discriminator (Kumari et al., CVPR 2022).

    image (B, 3, R, R) -> 64 px -> frozen maps at 32, 16, 8, 4 px -> one small head each -> logits of four scales

The feature network already tells what a picture shows, so its heads give a useful gradient from the first steps.
Heads are convolutional and spectrally normalised, as in Projected GAN (Sauer et al., NeurIPS 2021).
"""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lowshotgan.nets.features import FeatureNet

SIDE = 64
"""Side in pixels the feature network was trained for."""


class FeatureHeads(nn.Module):
    """Heads on the maps of a frozen network.

    Args:
        features: frozen; kept outside this module's parameters and checkpoints.
        width: channels of a head.
    """

    def __init__(self, features: FeatureNet, *, width: int = 64) -> None:
        super().__init__()
        self._beside = (features.eval().requires_grad_(False),)
        self.heads = nn.ModuleList(_head(channels, width) for channels in features.widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits ``(B, 1, h, w)`` of each scale for images ``(B, 3, R, R)`` in [-1, 1]."""
        return [head(found) for head, found in zip(self.heads, self.maps(images), strict=True)]

    def maps(self, images: Tensor) -> list[Tensor]:
        """The frozen maps, finest first, with gradients to ``images``."""
        return self._beside[0].maps(to_side(images, SIDE))


def to_side(images: Tensor, side: int) -> Tensor:
    """Images resized to ``side`` pixels: averaged when larger, bilinear when smaller."""
    if images.shape[-1] > side:
        return F.adaptive_avg_pool2d(images, side)
    if images.shape[-1] < side:
        return F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
    return images


def _head(channels: int, width: int) -> nn.Module:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, width, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, width, 4, stride=2, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )
