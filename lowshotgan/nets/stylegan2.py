"""StyleGAN2 generator and discriminator (Karras et al., CVPR 2020) in plain PyTorch.

    z (B, z_dim) -> mapping -> w (B, w_dim) -> one copy per layer (B, L, w_dim) -> synthesis -> (B, 3, R, R)
    image (B, 3, R, R) -> residual blocks down to 4x4 -> minibatch deviation -> logit (B, 1)

The output is not clipped. Parameter names follow the layout of the official PyTorch release.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.checks import power_of_two
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.nets.layers import (
    GAIN,
    SLOPE,
    EqualConv2d,
    EqualLinear,
    MinibatchStd,
    ModulatedConv2d,
    Modulation,
    fir_filter,
    upsample2,
)

Noise = Literal["random", "const", "none"] | Sequence[Tensor]


class Generator(nn.Module):
    """Mapping and synthesis networks.

    Args:
        resolution: side of the image, a power of two from 8 to 1024.
        z_dim: length of a latent.
        w_dim: length of a style vector.
        mapping_layers: depth of the mapping network.
        channel_base: a map of side r has ``min(channel_base // r, channel_max)`` channels.
        channel_max: upper bound on channels.
        modulation: how the modulated convolution is computed; both ways give the same values.
    """

    def __init__(
        self,
        resolution: int,
        *,
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 8,
        channel_base: int = 32768,
        channel_max: int = 512,
        modulation: Modulation = "shared",
    ) -> None:
        super().__init__()
        power_of_two("resolution", resolution, low=8)
        self.resolution = resolution
        self.z_dim = z_dim
        self.w_dim = w_dim
        self.mapping = Mapping(z_dim, w_dim, mapping_layers)
        self.synthesis = Synthesis(resolution, w_dim, channel_base, channel_max, modulation)
        self.num_ws = self.synthesis.num_ws

    def forward(self, z: Tensor, *, psi: float = 1.0, noise: Noise = "const") -> Tensor:
        """``(B, z_dim)`` latents to ``(B, 3, R, R)`` images around [-1, 1]; ``psi`` pulls towards the average."""
        w = self.truncate(self.mapping(z), psi)
        image: Tensor = self.synthesis(self.broadcast(w), noise=noise)
        return image

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Move ``w (..., w_dim)`` towards the average style: ``w_avg + psi * (w - w_avg)``."""
        return w if psi == 1.0 else self.mapping.w_avg + psi * (w - self.mapping.w_avg)

    def broadcast(self, w: Tensor) -> Tensor:
        """``(B, w_dim) -> (B, L, w_dim)``, the same style for every layer."""
        return w[:, None].expand(-1, self.num_ws, -1)


def unit_latents(z: Tensor) -> Tensor:
    """Latents ``(B, z_dim)`` divided by their root mean square."""
    return z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class Mapping(nn.Module):
    """Latent to style: normalise, then fully connected layers with learning rate multiplier 0.01."""

    w_avg: Tensor

    def __init__(self, z_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        for i in range(layers):
            layer = EqualLinear(z_dim if i == 0 else w_dim, w_dim, lr_mul=0.01, activate=True)
            self.add_module(f"fc{i}", layer)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        x = z.float()
        x = unit_latents(x)
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)
        return x

    @torch.no_grad()
    def track(self, w: Tensor) -> None:
        """Move the running average style towards the mean of ``w (B, w_dim)`` (decay 0.995)."""
        self.w_avg.lerp_(w.float().mean(dim=0), 0.005)


class Synthesis(nn.Module):
    """Styles ``(B, L, w_dim)`` to an image ``(B, 3, R, R)``, with skip connections through RGB."""

    def __init__(
        self, resolution: int, w_dim: int, channel_base: int, channel_max: int, modulation: Modulation
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.sides = [2**k for k in range(2, int(math.log2(resolution)) + 1)]
        self.num_ws = 2 * len(self.sides)
        previous = 0
        for side in self.sides:
            channels = channels_at(side, channel_base, channel_max)
            self.add_module(f"b{side}", SynthesisBlock(previous, channels, side, w_dim, modulation))
            previous = channels

    def forward(
        self, ws: Tensor, *, noise: Noise = "const", return_features: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Draw images.

        Args:
            ws: ``(B, L, w_dim)`` styles.
            noise: fresh ("random"), the stored maps ("const"), "none", or one ``(B, 1, r, r)`` map per convolution
                as ``draw_noise`` gives them.
            return_features: also return the map after each convolution: index 0 at 4x4, then two per resolution.

        Returns:
            ``(B, 3, R, R)`` unclipped images, and the list of maps if asked for.

        Raises:
            ConfigError: if ``ws`` has the wrong shape.
        """
        if ws.ndim != 3 or ws.shape[1] != self.num_ws:
            raise ConfigError(f"styles must be (B, {self.num_ws}, w_dim), got {tuple(ws.shape)}.")
        maps = None if isinstance(noise, str) else iter(noise)
        x, image = None, None
        features: list[Tensor] = []
        index = 0
        for side in self.sides:
            block = self.get_submodule(f"b{side}")
            count = 1 if side == 4 else 2
            given = noise if maps is None else [next(maps) for _ in range(count)]
            x, image = block(x, image, ws[:, index : index + count + 1], given, features)
            index += count
        assert image is not None
        return (image, features) if return_features else image

    def noise_shapes(self) -> list[tuple[int, int]]:
        """``(r, r)`` of each noise map, in the order ``forward`` takes them."""
        return [(side, side) for side in self.sides for _ in range(1 if side == 4 else 2)]

    def draw_noise(self, batch: int, draws: Draws) -> list[Tensor]:
        """Fresh noise for ``batch`` samples: one ``(batch, 1, r, r)`` map per convolution."""
        return [draws.normal(batch, 1, *shape) for shape in self.noise_shapes()]


class SynthesisBlock(nn.Module):
    """One resolution: upsampling convolution, convolution, RGB; at 4x4 a learned constant and one convolution."""

    filter: Tensor

    def __init__(self, in_channels: int, out_channels: int, side: int, w_dim: int, modulation: Modulation) -> None:
        super().__init__()
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, side, side))
        else:
            self.conv0 = StyledConv(in_channels, out_channels, side, w_dim, up=True, modulation=modulation)
        self.conv1 = StyledConv(out_channels, out_channels, side, w_dim, up=False, modulation=modulation)
        self.torgb = ToRGB(out_channels, w_dim, modulation)
        self.is_first = in_channels == 0
        self.register_buffer("filter", fir_filter(), persistent=False)

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise: Noise, features: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        noises: list[Tensor | str] = [noise] * 2 if isinstance(noise, str) else list(noise)
        if self.is_first:
            x = self.const.expand(len(ws), -1, -1, -1)
        else:
            assert x is not None
            x = self.conv0(x, ws[:, 0], noises[0])
            features.append(x)
        x = self.conv1(x, ws[:, -2], noises[-1])
        features.append(x)
        rgb = self.torgb(x, ws[:, -1])
        image = rgb if image is None else rgb + upsample2(image, self.filter)
        return x, image


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU."""

    noise_const: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, side: int, w_dim: int, *, up: bool, modulation: Modulation
    ) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, in_channels, bias=1.0)
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, up=up, modulation=modulation)
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise_const", torch.randn(side, side))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | str) -> Tensor:
        x = self.conv(x, self.affine(w), gain=GAIN)
        offset = (self.bias * GAIN)[None, :, None, None]
        if isinstance(noise, Tensor):
            offset = offset + noise * (self.noise_strength * GAIN)
        elif noise == "random":
            fresh = torch.randn(len(x), 1, *x.shape[2:], device=x.device)
            offset = offset + fresh * (self.noise_strength * GAIN)
        elif noise == "const":
            offset = offset + self.noise_const * (self.noise_strength * GAIN)
        elif noise != "none":
            raise ConfigError(f"noise must be random, const, none or a list of maps; got {noise!r}.")
        return F.leaky_relu(x + offset.to(x.dtype), SLOPE)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to RGB, not demodulated."""

    def __init__(self, in_channels: int, w_dim: int, modulation: Modulation) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, in_channels, bias=1.0)
        self.conv = ModulatedConv2d(in_channels, 3, 1, demodulate=False, modulation=modulation)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        rgb: Tensor = self.conv(x, self.affine(w)).float() + self.bias[None, :, None, None]
        return rgb


class Discriminator(nn.Module):
    """Residual discriminator: image ``(B, 3, R, R)`` to one logit per image ``(B, 1)``."""

    def __init__(self, resolution: int, *, channel_base: int = 32768, channel_max: int = 512) -> None:
        super().__init__()
        power_of_two("resolution", resolution, low=8)
        self.resolution = resolution
        self.sides = [2**k for k in range(int(math.log2(resolution)), 2, -1)]
        for side in self.sides:
            channels = channels_at(side, channel_base, channel_max)
            narrower = channels_at(side // 2, channel_base, channel_max)
            self.add_module(f"b{side}", DiscriminatorBlock(channels, narrower, from_rgb=side == resolution))
        self.b4 = DiscriminatorEpilogue(channels_at(4, channel_base, channel_max))

    def forward(self, x: Tensor, *, return_features: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Judge images.

        Args:
            x: ``(B, 3, R, R)`` in [-1, 1].
            return_features: also return the maps by name: ``b64.conv0``, ``b64.conv1`` (after the activation, before
                the residual sum) for each block, then ``b4.conv`` and ``b4.fc``, the ``(B, C)`` features.

        Returns:
            ``(B, 1)`` raw logits, and the maps if asked for.
        """
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[-1] != self.resolution:
            raise ConfigError(f"images must be (B, 3, {self.resolution}, {self.resolution}), got {tuple(x.shape)}.")
        features: dict[str, Tensor] = {}
        for side in self.sides:
            x = self.get_submodule(f"b{side}")(x, features, f"b{side}")
        logits: Tensor = self.b4(x, features)
        return (logits, features) if return_features else logits


class DiscriminatorBlock(nn.Module):
    """Residual block that halves the resolution."""

    def __init__(self, channels: int, out_channels: int, *, from_rgb: bool) -> None:
        super().__init__()
        self.fromrgb = EqualConv2d(3, channels, 1) if from_rgb else None
        self.conv0 = EqualConv2d(channels, channels, 3)
        self.conv1 = EqualConv2d(channels, out_channels, 3, down=2)
        self.skip = EqualConv2d(channels, out_channels, 1, bias=False, activate=False, down=2)

    def forward(self, x: Tensor, features: dict[str, Tensor], name: str) -> Tensor:
        if self.fromrgb is not None:
            x = self.fromrgb(x)
        skip = self.skip(x)
        features[f"{name}.conv0"] = x = self.conv0(x)
        features[f"{name}.conv1"] = x = self.conv1(x)
        out: Tensor = (x + skip) * math.sqrt(0.5)
        return out


class DiscriminatorEpilogue(nn.Module):
    """4x4 map to one logit."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deviation = MinibatchStd()
        self.conv = EqualConv2d(channels + 1, channels, 3)
        self.fc = EqualLinear(channels * 16, channels, activate=True)
        self.out = EqualLinear(channels, 1)

    def forward(self, x: Tensor, features: dict[str, Tensor]) -> Tensor:
        features["b4.conv"] = x = self.conv(self.deviation(x))
        features["b4.fc"] = x = self.fc(x.flatten(1).float())
        logit: Tensor = self.out(x)
        return logit


def channels_at(side: int, channel_base: int, channel_max: int) -> int:
    """Number of channels of a map of the given side: ``min(channel_base // side, channel_max)``."""
    return min(channel_base // side, channel_max)
