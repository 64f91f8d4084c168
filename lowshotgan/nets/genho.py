"""Networks of GenHo (Kao et al., "Learning Low-Shot Generative Networks for Cross-Domain Data", ICPR 2020).

One generator is cut at feature maps of L x L (the content layer), so that its second half can be replaced per domain:

    noise (B, 128) -> ContentGenerator -> (B, ch(L), L, L) -> AppearanceGenerator -> image (B, 3, R, R) in [-1, 1]
    image (B, 3, R, R) -> ContentEncoder -> (B, ch(L), L, L)

Grey images have one channel instead of three; the encoder sees it three times.

Maps of side s have ch(s) = min(width_max, width_base / s) channels: 512, 512, 256, 128, 64 from 4 to 64 pixels.
"""

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lowshotgan.nets.residual import Project, ResidualDiscriminator, ToImage, Up, as_rgb

ENCODER_CONVS = {1: 5, 2: 2}
"""Convolutions before each halving, by the number of halvings; otherwise one."""


class ContentGenerator(nn.Module):
    """Shared first half: latents ``(B, z_dim)`` to content maps ``(B, ch(cut), cut, cut)``, at least 0.

    Args:
        cut: L, a power of two of at least 8.
        z_dim: length of a latent.
        width_base: see ``channels_at``.
        width_max: see ``channels_at``.
    """

    def __init__(self, cut: int, *, z_dim: int = 128, width_base: int = 4096, width_max: int = 512) -> None:
        super().__init__()
        widths = channels_at(width_base, width_max)
        self.z_dim = z_dim
        self.project = Project(z_dim, widths(4))
        self.blocks = nn.Sequential(*(Up(widths(side // 2), widths(side)) for side in _sides(8, cut)))
        self.apply(_initialise)

    def forward(self, latents: Tensor) -> Tensor:
        maps: Tensor = self.blocks(self.project(latents))
        return maps


class AppearanceGenerator(nn.Module):
    """Second half, one per domain: content maps ``(B, ch(cut), cut, cut)`` to images ``(B, channels, R, R)`` in [-1, 1]."""

    def __init__(
        self, resolution: int, cut: int, *, width_base: int = 4096, width_max: int = 512, channels: int = 3
    ) -> None:
        super().__init__()
        widths = channels_at(width_base, width_max)
        sides = _sides(2 * cut, resolution)
        self.blocks = nn.Sequential(*(Up(widths(side // 2), widths(side)) for side in sides))
        self.to_image = ToImage(widths(resolution), channels)
        self.apply(_initialise)

    def forward(self, content: Tensor) -> Tensor:
        image: Tensor = self.to_image(self.blocks(content))
        return image


class ContentEncoder(nn.Module):
    """Images ``(B, 3 or 1, R, R)`` to content maps ``(B, ch(cut), cut, cut)``, at least 0 like those of the generator."""

    def __init__(self, resolution: int, cut: int, *, width_base: int = 4096, width_max: int = 512) -> None:
        super().__init__()
        widths = channels_at(width_base, width_max)
        halvings = (resolution // cut).bit_length() - 1
        first = max(1, min(width_max, width_base // 32))
        outputs = [min(width_max, first * 2**n) for n in range(halvings - 1)] + [widths(cut)]
        layers: list[nn.Module] = []
        for before, after in zip([3, *outputs[:-1]], outputs, strict=True):
            inputs = [before] + [after] * (ENCODER_CONVS.get(halvings, 1) - 1)
            layers += [nn.Conv2d(channels, after, 3, padding=1) for channels in inputs]
            layers += [nn.Conv2d(after, after, 4, stride=2, padding=1)]
        self.layers = nn.ModuleList(layers)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        x = as_rgb(images)
        for layer in self.layers:
            x = F.relu(layer(x))
        return x


class ContentDiscriminator(nn.Module):
    """Logits ``(B, 1)`` of content maps ``(B, ch(cut), cut, cut)``; spectrally normalised, ReLU after each sum."""

    def __init__(self, cut: int, *, width_base: int = 4096, width_max: int = 512) -> None:
        super().__init__()
        widths = channels_at(width_base, width_max)
        sides = reversed(_sides(8, cut))
        down = [ContentBlock(widths(side), widths(side // 2), halve=True) for side in sides]
        self.blocks = nn.Sequential(*down, ContentBlock(widths(4), widths(4), halve=False))
        self.to_logit = spectral_norm(nn.Linear(widths(4), 1))

    def forward(self, content: Tensor) -> Tensor:
        logits: Tensor = self.to_logit(self.blocks(content).mean(dim=(2, 3)))
        return logits


class ContentBlock(nn.Module):
    """``(B, I, H, H) -> (B, O, H / 2, H / 2)``, or the same shape with ``halve=False`` and I = O."""

    def __init__(self, in_channels: int, out_channels: int, *, halve: bool) -> None:
        super().__init__()
        self.conv1 = spectral_norm(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = spectral_norm(nn.Conv2d(in_channels, out_channels, 1)) if halve else None

    def forward(self, x: Tensor) -> Tensor:
        main = self.conv2(F.relu(self.conv1(x)))
        if self.skip is None:
            return F.relu(main + x)
        return F.relu(F.avg_pool2d(main, 2) + self.skip(F.avg_pool2d(x, 2)))


def make_discriminator(
    resolution: int, *, width_base: int = 4096, width_max: int = 512, channels: int = 3
) -> ResidualDiscriminator:
    """Image discriminator with half as many channels at a side as the generator, and two blocks at 4 x 4."""
    widths = channels_at(width_base // 2, width_max)
    outputs = [widths(side // 2) for side in reversed(_sides(8, resolution))]
    return ResidualDiscriminator(outputs, flat=2, channels=channels)


def channels_at(width_base: int, width_max: int) -> Callable[[int], int]:
    """The rule for the channels of a map by its side."""
    return lambda side: max(1, min(width_max, width_base // side))


def _sides(first: int, last: int) -> list[int]:
    """Powers of two from ``first`` to ``last``."""
    return [2**n for n in range(first.bit_length() - 1, last.bit_length())]


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_normal_(layer.weight, gain=math.sqrt(2.0))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
