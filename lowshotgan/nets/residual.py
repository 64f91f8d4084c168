"""Residual blocks of the paired generators and discriminators (LaDo and GenHo, Kao et al., ICPR 2020).

The skip branches resample after a 1 x 1 convolution where that is cheaper; the two orders give the same values.
"""

from collections.abc import Sequence
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Layer = TypeVar("Layer", bound=nn.Module)


class ResidualDiscriminator(nn.Module):
    """Discriminator of residual blocks: halve the image once per width, refine at 4 x 4, mean, one logit.

        image (B, C, R, R) -> len(widths) x Down -> (B, widths[-1], 4, 4) -> flat x Refine -> ReLU, mean -> (B, 1)

    Args:
        widths: channels after each halving, so R = 4 * 2 ** len(widths).
        flat: blocks that keep the size.
        channels: of the images.
        spectral: whether every layer is spectrally normalised (one power iteration per forward pass in training).
    """

    def __init__(self, widths: Sequence[int], *, flat: int = 2, channels: int = 3, spectral: bool = True) -> None:
        super().__init__()
        before = (channels, *widths[:-1])
        down = [
            Down(i, o, first=n == 0, spectral=spectral) for n, (i, o) in enumerate(zip(before, widths, strict=True))
        ]
        refine = [Refine(widths[-1], spectral=spectral) for _ in range(flat)]
        self.blocks = nn.ModuleList([*down, *refine])
        self.to_logit = _maybe(nn.Linear(widths[-1], 1), spectral)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, 1)`` of images ``(B, C, R, R)`` in [-1, 1]."""
        return self.judge(self.maps(images)[-1])

    def judge(self, last: Tensor) -> Tensor:
        """Logits ``(B, 1)`` from the last map ``(B, W, 4, 4)``."""
        logits: Tensor = self.to_logit(F.relu(last).mean(dim=(2, 3)))
        return logits

    def maps(self, images: Tensor) -> list[Tensor]:
        """What each block gives, ``(B, W, h, h)`` with h from R / 2 down to 4."""
        x, found = images, []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found


class Down(nn.Module):
    """Halving block: ``(B, I, H, H) -> (B, O, H / 2, H / 2)``; the first one of a network does not start with a ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, first: bool, spectral: bool) -> None:
        super().__init__()
        self.first = first
        self.conv1 = _maybe(nn.Conv2d(in_channels, out_channels, 3, padding=1), spectral)
        self.conv2 = _maybe(nn.Conv2d(out_channels, out_channels, 3, padding=1), spectral)
        self.skip = _maybe(nn.Conv2d(in_channels, out_channels, 1), spectral)

    def forward(self, x: Tensor) -> Tensor:
        main = halve_convolved(F.relu(self.conv1(x if self.first else F.relu(x))), self.conv2)
        halved: Tensor = main + self.skip(F.avg_pool2d(x, 2))
        return halved


class Refine(nn.Module):
    """Block that keeps size and width: ``(B, C, H, H) -> (B, C, H, H)``."""

    def __init__(self, channels: int, *, spectral: bool) -> None:
        super().__init__()
        self.conv1 = _maybe(nn.Conv2d(channels, channels, 3, padding=1), spectral)
        self.conv2 = _maybe(nn.Conv2d(channels, channels, 3, padding=1), spectral)

    def forward(self, x: Tensor) -> Tensor:
        refined: Tensor = x + self.conv2(F.relu(self.conv1(F.relu(x))))
        return refined


class Up(nn.Module):
    """Doubling block of the generators: ``(B, I, H, H) -> (B, O, 2 H, 2 H)``, at least 0 everywhere."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.skip = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        main = F.relu(self.norm1(convolve_doubled(x, self.conv1)))
        main = self.norm2(self.conv2(main))
        return F.relu(main + double(self.skip(x)))


class Project(nn.Module):
    """Codes ``(B, D)`` to the first map ``(B, C, 4, 4)``: linear, batch norm, ReLU."""

    def __init__(self, code_dim: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(code_dim, channels * 16)
        self.norm = nn.BatchNorm1d(channels * 16)

    def forward(self, codes: Tensor) -> Tensor:
        maps = F.relu(self.norm(self.linear(codes)))  # (B, C * 16)
        return maps.view(len(maps), -1, 4, 4)


class ToImage(nn.Module):
    """``(B, C, R, R)`` to images ``(B, channels, R, R)`` in [-1, 1]."""

    def __init__(self, in_channels: int, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(x))


def double(x: Tensor) -> Tensor:
    """Repeat every pixel: ``(B, C, H, W) -> (B, C, 2 H, 2 W)``."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def halve_convolved(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """``F.avg_pool2d(conv(x), 2)`` as one strided convolution of 4 x 4, with 4 / 9 of the multiplications.

    Args:
        x: ``(B, I, 2 H, 2 W)``.
        conv: 3 x 3 with padding 1.

    Returns:
        ``(B, O, H, W)``, equal up to rounding.
    """
    kernel = F.avg_pool2d(F.pad(conv.weight, [1, 1, 1, 1]), 2, stride=1)  # (O, I, 4, 4)
    return F.conv2d(x, kernel, conv.bias, stride=2, padding=1)


def convolve_doubled(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """``conv(double(x))`` as one transposed convolution of 4 x 4, with 4 / 9 of the multiplications.

    Args:
        x: ``(B, I, H, W)``.
        conv: 3 x 3 with padding 1.

    Returns:
        ``(B, O, 2 H, 2 W)``, equal up to rounding.
    """
    sums = 4 * F.avg_pool2d(F.pad(conv.weight, [1, 1, 1, 1]), 2, stride=1)
    return F.conv_transpose2d(x, sums.flip(2, 3).transpose(0, 1), conv.bias, stride=2, padding=1)


def as_rgb(images: Tensor) -> Tensor:
    """Images ``(B, 3, H, W)``; grey ones ``(B, 1, H, W)`` become three equal channels, which takes no memory."""
    return images.expand(-1, 3, -1, -1)


def doublings(resolution: int) -> int:
    """How often 4 x 4 is doubled to reach ``resolution``."""
    return resolution.bit_length() - 3


def _maybe(layer: Layer, spectral: bool) -> Layer:
    return cast(Layer, spectral_norm(layer)) if spectral else layer
