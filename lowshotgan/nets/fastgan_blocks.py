"""Blocks of FastGAN (Liu et al., ICLR 2021): spectrally normalised, no biases, gated on the way up."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

_DECODER_WIDTHS = {16: 4, 32: 2, 64: 2, 128: 1}


class InitLayer(nn.Module):
    """Latent to the first map: ``(B, z_dim) -> (B, channels, 4, 4)``."""

    def __init__(self, z_dim: int, channels: int) -> None:
        super().__init__()
        self.init = nn.Sequential(transposed(z_dim, channels * 2), norm(channels * 2), nn.GLU(dim=1))

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.init(z[:, :, None, None])
        return x


class UpBlock(nn.Sequential):
    """Nearest-neighbour doubling and one gated convolution: ``(B, I, H, W) -> (B, O, 2H, 2W)``."""

    injections = 0

    def __init__(self, in_channels: int, out_channels: int, side: int) -> None:
        wide = out_channels * 2
        super().__init__(nn.Upsample(scale_factor=2), conv(in_channels, wide, 3), norm(wide), nn.GLU(dim=1))

    def forward(self, x: Tensor, noises: Sequence[Tensor | str] = ()) -> Tensor:
        for layer in self:
            x = layer(x)
        return x


class UpBlockComp(nn.Sequential):
    """Nearest doubling and two gated convolutions with noise: ``(B, I, H, W) -> (B, O, 2H, 2W)``."""

    injections = 2

    def __init__(self, in_channels: int, out_channels: int, side: int) -> None:
        wide = out_channels * 2
        super().__init__(
            nn.Upsample(scale_factor=2),
            conv(in_channels, wide, 3), NoiseInjection(side), norm(wide), nn.GLU(dim=1),
            conv(out_channels, wide, 3), NoiseInjection(side), norm(wide), nn.GLU(dim=1),
        )  # fmt: skip

    def forward(self, x: Tensor, noises: Sequence[Tensor | str] = ()) -> Tensor:
        maps = iter(noises)
        for layer in self:
            x = layer(x, next(maps, "const")) if isinstance(layer, NoiseInjection) else layer(x)
        return x


class NoiseInjection(nn.Module):
    """Add ``weight * noise`` to a map; the weight is one learned scalar, zero at the start."""

    noise_const: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("noise_const", torch.randn(side, side))

    def forward(self, x: Tensor, noise: Tensor | str) -> Tensor:
        if isinstance(noise, Tensor):
            return x + (self.weight * noise).to(x.dtype)
        if noise == "none":
            return x
        if noise == "random":
            fresh = torch.randn(len(x), 1, *x.shape[2:], device=x.device)
            return x + (self.weight * fresh).to(x.dtype)
        return x + (self.weight * self.noise_const).to(x.dtype)


class SkipGate(nn.Module):
    """Channel gates in (0, 1) for a late map from an early one (skip-layer excitation, section 3.1).

    ``(B, I, h, w) -> (B, O, 1, 1)``.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), conv(in_channels, out_channels, 4, padding=0), nn.SiLU(),
            conv(out_channels, out_channels, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        gates: Tensor = self.main(x)
        return gates


class DownBlockComp(nn.Module):
    """Mean of a deep and a direct path, half the side: ``(B, I, H, W) -> (B, O, H / 2, W / 2)``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            conv(in_channels, out_channels, 4, stride=2), norm(out_channels), lrelu(),
            conv(out_channels, out_channels, 3), norm(out_channels), lrelu(),
        )  # fmt: skip
        self.direct = nn.Sequential(nn.AvgPool2d(2), conv(in_channels, out_channels, 1), norm(out_channels), lrelu())

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = (self.main(x) + self.direct(x)) / 2
        return mean


class DownBlock(nn.Module):
    """Halve the side: ``(B, I, H, W) -> (B, O, H / 2, W / 2)``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(conv(in_channels, out_channels, 4, stride=2), norm(out_channels), lrelu())

    def forward(self, x: Tensor) -> Tensor:
        halved: Tensor = self.main(x)
        return halved


class Decoder(nn.Module):
    """Redraw an image from a map of the discriminator: ``(B, C, h, w) -> (B, 3, side, side)`` in [-1, 1].

    ``width`` is the number of channels at 128 px.
    """

    def __init__(self, in_channels: int, side: int, *, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(8)]
        for at in powers(16, side):
            channels = _DECODER_WIDTHS[at] * width
            layers.append(UpBlock(in_channels, channels, at))
            in_channels = channels
        self.main = nn.Sequential(*layers, conv(in_channels, 3, 3), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        image: Tensor = self.main(x).float()
        return image


def powers(low: int, high: int) -> list[int]:
    """``[low, 2 * low, ..., high]``."""
    return [low * 2**k for k in range((high // low).bit_length())]


def conv(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, padding: int | None = None
) -> nn.Module:
    """Convolution that keeps the side (over ``stride``) unless ``padding`` is given; weights N(0, 0.02)."""
    same = (kernel_size - 1) // 2
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, stride, same if padding is None else padding, bias=False)
    nn.init.normal_(layer.weight, 0.0, 0.02)
    normed: nn.Module = spectral_norm(layer)
    return normed


def transposed(in_channels: int, out_channels: int) -> nn.Module:
    """4x4 transposed convolution from one position: ``(B, I, 1, 1) -> (B, O, 4, 4)``."""
    layer = nn.ConvTranspose2d(in_channels, out_channels, 4, bias=False)
    nn.init.normal_(layer.weight, 0.0, 0.02)
    normed: nn.Module = spectral_norm(layer)
    return normed


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with scale N(1, 0.02) and bias 0."""
    layer = nn.BatchNorm2d(channels)
    nn.init.normal_(layer.weight, 1.0, 0.02)
    return layer


def lrelu() -> nn.LeakyReLU:
    """Leaky ReLU with slope 0.2."""
    return nn.LeakyReLU(0.2, inplace=True)
