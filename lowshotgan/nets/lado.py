"""Networks of LaDo (Kao et al., "Learning Low-Shot Generative Networks for Cross-Domain Data", ICPR 2020).

image (B, 3, 64, 64) -> Encoder -> Codes(mean, log_variance)                 one for content, one per appearance
content (B, 128), appearance (B, 64) -> Generator -> (B, 3, 64, 64) in [-1, 1]

Grey images have one channel instead of three; encoders see it three times.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lowshotgan.nets.residual import Project, ResidualDiscriminator, ToImage, Up, as_rgb, doublings


class Codes(NamedTuple):
    """A normal distribution over codes: ``mean`` and ``log_variance``, both ``(B, D)``."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """``(B, D)`` codes from standard normal ``noise`` of the same shape."""
        return self.mean + noise * (0.5 * self.log_variance).exp()


class Encoder(nn.Module):
    """From images ``(B, 3 or 1, R, R)`` to codes of length ``code_dim``; spectrally normalised but for its two heads.

    Args:
        resolution: R, a power of two of at least 8.
        code_dim: length of a code.
        width: channels of every layer.
    """

    def __init__(self, resolution: int, *, code_dim: int, width: int = 128) -> None:
        super().__init__()
        inputs = [3] + [width] * (doublings(resolution) - 1)
        self.blocks = nn.Sequential(*(EncoderBlock(channels, width) for channels in inputs))
        self.to_mean = nn.Conv2d(width, code_dim, 4)
        self.to_log_variance = nn.Conv2d(width, code_dim, 4)
        for head in (self.to_mean, self.to_log_variance):
            nn.init.xavier_uniform_(head.weight)

    def forward(self, images: Tensor) -> Codes:
        x = self.blocks(as_rgb(images))  # (B, width, 4, 4)
        return Codes(self.to_mean(x).flatten(1).float(), self.to_log_variance(x).flatten(1).float())


class EncoderBlock(nn.Module):
    """``(B, I, H, H) -> (B, O, H / 2, H / 2)``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = _normalised(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.conv2 = _normalised(nn.Conv2d(out_channels, out_channels, 4, stride=2, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x), 0.2)), 0.2)


class Generator(nn.Module):
    """From ``(B, content_dim + appearance_dim)`` codes, content first, to images ``(B, channels, R, R)`` in [-1, 1].

    Args:
        resolution: R, a power of two of at least 8.
        code_dim: length of content and appearance code together.
        width: channels of every layer.
        channels: of the images.
    """

    def __init__(self, resolution: int, *, code_dim: int, width: int = 128, channels: int = 3) -> None:
        super().__init__()
        self.project = Project(code_dim, width)
        self.blocks = nn.Sequential(*(Up(width, width) for _ in range(doublings(resolution))))
        self.to_image = ToImage(width, channels)
        self.apply(_initialise)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.project(codes)  # (B, width, 4, 4)
        x = self.blocks(x)  # (B, width, R, R)
        image: Tensor = self.to_image(x)
        return image


def make_discriminator(resolution: int, *, width: int = 128, channels: int = 3) -> ResidualDiscriminator:
    """Six spectrally normalised blocks at 64 pixels: four that halve and two that refine."""
    return ResidualDiscriminator([width] * doublings(resolution), flat=2, channels=channels)


def _normalised(layer: nn.Conv2d) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight)
    return spectral_norm(layer)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
    elif isinstance(layer, nn.BatchNorm2d):
        with torch.no_grad():
            layer.weight.normal_(1.0, 0.02)
