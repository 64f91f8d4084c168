"""StyleGAN2 in the straightforward way, to compare the library's speed with.

Written independently of ``lowshotgan.nets``, in the manner of published research code without custom kernels: one
convolution kernel per sample through a grouped convolution, filtering by zero insertion, padding and a convolution,
separate operations for scale, noise, bias, activation and gain, contiguous NCHW, float32. Parameter names are those of
the library, so one can be loaded into the other; the outputs agree (``tests/benchmarks``).

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020.
"""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def upfirdn(x: Tensor, kernel: Tensor, *, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)) -> Tensor:
    """Insert zeros, pad, filter, keep every ``down``-th pixel: ``(B, C, H, W)``."""
    batch, channels, height, width = x.shape
    x = x.reshape(-1, height, 1, width, 1)
    x = F.pad(x, (0, up - 1, 0, 0, 0, up - 1)).reshape(-1, 1, height * up, width * up)
    x = F.pad(x, (pad[0], pad[1], pad[0], pad[1]))
    x = F.conv2d(x, kernel.flip(0, 1)[None, None])
    x = x[:, :, ::down, ::down]
    return x.reshape(batch, channels, *x.shape[2:])


def blur_kernel(gain: float = 1.0) -> Tensor:
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = row[None, :] * row[:, None]
    return kernel / kernel.sum() * gain


def fused_act(x: Tensor, bias: Tensor) -> Tensor:
    """Bias, leaky ReLU, gain of sqrt(2), as three operations."""
    x = x + bias.view(1, -1, *([1] * (x.ndim - 2)))
    x = F.leaky_relu(x, 0.2)
    return x * math.sqrt(2)


class PlainLinear(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, *, bias: float = 0.0, lr_mul: float = 1.0, act: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_mul)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_mul))
        self.scale, self.lr_mul, self.act = lr_mul / math.sqrt(inputs), lr_mul, act

    def forward(self, x: Tensor) -> Tensor:
        if self.act:
            return fused_act(F.linear(x, self.weight * self.scale), self.bias * self.lr_mul)
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_mul)


class PlainModulatedConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, size: int, *, demodulate: bool = True, up: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.scale = 1 / math.sqrt(inputs * size**2)
        self.demodulate, self.up, self.size = demodulate, up, size
        self.register_buffer("blur", blur_kernel(4.0), persistent=False)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        batch, inputs, height, width = x.shape
        weight = self.scale * self.weight[None] * style.view(batch, 1, inputs, 1, 1)
        if self.demodulate:
            norm = torch.rsqrt(weight.pow(2).sum([2, 3, 4]) + 1e-8)
            weight = weight * norm.view(batch, -1, 1, 1, 1)
        x = x.reshape(1, batch * inputs, height, width)
        if self.up:
            weight = weight.transpose(1, 2).reshape(batch * inputs, -1, self.size, self.size)
            x = F.conv_transpose2d(x, weight, stride=2, groups=batch)
            x = x.view(batch, -1, *x.shape[2:])
            return upfirdn(x, self.blur, pad=(1, 1))
        weight = weight.reshape(-1, inputs, self.size, self.size)
        x = F.conv2d(x, weight, padding=self.size // 2, groups=batch)
        return x.view(batch, -1, *x.shape[2:])


class PlainStyledConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, side: int, w_dim: int, *, up: bool) -> None:
        super().__init__()
        self.affine = PlainLinear(w_dim, inputs, bias=1.0)
        self.conv = PlainModulatedConv(inputs, outputs, 3, up=up)
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise_const", torch.randn(side, side))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        x = self.conv(x, self.affine(w))
        x = x + self.noise_strength * (self.noise_const if noise is None else noise)
        return fused_act(x, self.bias)


class PlainToRGB(nn.Module):
    def __init__(self, inputs: int, w_dim: int) -> None:
        super().__init__()
        self.affine = PlainLinear(w_dim, inputs, bias=1.0)
        self.conv = PlainModulatedConv(inputs, 3, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("blur", blur_kernel(4.0), persistent=False)

    def forward(self, x: Tensor, w: Tensor, skip: Tensor | None) -> Tensor:
        x = self.conv(x, self.affine(w))
        x = x + self.bias.view(1, 3, 1, 1)
        return x if skip is None else x + upfirdn(skip, self.blur, up=2, pad=(2, 1))


class PlainBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, side: int, w_dim: int) -> None:
        super().__init__()
        if inputs:
            self.conv0 = PlainStyledConv(inputs, outputs, side, w_dim, up=True)
        else:
            self.const = nn.Parameter(torch.randn(outputs, side, side))
        self.conv1 = PlainStyledConv(outputs, outputs, side, w_dim, up=False)
        self.torgb = PlainToRGB(outputs, w_dim)


class PlainMapping(nn.Module):
    def __init__(self, z_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.depth = layers
        for i in range(layers):
            self.add_module(f"fc{i}", PlainLinear(z_dim if i == 0 else w_dim, w_dim, lr_mul=0.01, act=True))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        z = z * torch.rsqrt(z.pow(2).mean(1, keepdim=True) + 1e-8)
        for i in range(self.depth):
            z = self.get_submodule(f"fc{i}")(z)
        return z


class PlainSynthesis(nn.Module):
    def __init__(self, resolution: int, w_dim: int, base: int, most: int) -> None:
        super().__init__()
        self.sides = [2**k for k in range(2, int(math.log2(resolution)) + 1)]
        previous = 0
        for side in self.sides:
            channels = min(base // side, most)
            self.add_module(f"b{side}", PlainBlock(previous, channels, side, w_dim))
            previous = channels

    def forward(self, ws: Tensor, *, random_noise: bool) -> Tensor:
        x, image, index = None, None, 0
        for side in self.sides:
            block: Any = self.get_submodule(f"b{side}")
            if x is None:
                x = block.const[None].repeat(len(ws), 1, 1, 1)
            else:
                x = block.conv0(x, ws[:, index], _noise(ws, side) if random_noise else None)
                index += 1
            x = block.conv1(x, ws[:, index], _noise(ws, side) if random_noise else None)
            image = block.torgb(x, ws[:, index + 1], image)
            index += 1
        assert image is not None
        return image


class PlainGenerator(nn.Module):
    def __init__(
        self, resolution: int, *, z_dim: int, w_dim: int, mapping_layers: int, channel_base: int, channel_max: int
    ) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.mapping = PlainMapping(z_dim, w_dim, mapping_layers)
        self.synthesis = PlainSynthesis(resolution, w_dim, channel_base, channel_max)
        self.num_ws = 2 * len(self.synthesis.sides)

    def forward(self, z: Tensor, *, other: Tensor | None = None, random_noise: bool = False) -> Tensor:
        """Images of ``z (B, z_dim)``; with ``other`` each sample mixes two styles from a random layer on."""
        ws = self.mapping(z)[:, None].repeat(1, self.num_ws, 1)
        if other is not None:
            second = self.mapping(other)[:, None].repeat(1, self.num_ws, 1)
            cut = torch.randint(1, self.num_ws, (len(z), 1, 1))
            ws = torch.where(torch.arange(self.num_ws)[None, :, None] < cut, ws, second)
        image: Tensor = self.synthesis(ws, random_noise=random_noise)
        return image


class PlainConv(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, size: int, *, bias: bool = True, act: bool = True, down: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.act, self.down, self.size = 1 / math.sqrt(inputs * size**2), act, down, size
        self.register_buffer("blur", blur_kernel(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.down:
            pad = (2, 2) if self.size == 3 else (1, 1)
            x = F.conv2d(upfirdn(x, self.blur, pad=pad), self.weight * self.scale, stride=2)
        else:
            x = F.conv2d(x, self.weight * self.scale, padding=self.size // 2)
        return fused_act(x, self.bias) if self.act and self.bias is not None else x


class PlainResidual(nn.Module):
    def __init__(self, channels: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.fromrgb = PlainConv(3, channels, 1) if first else None
        self.conv0 = PlainConv(channels, channels, 3)
        self.conv1 = PlainConv(channels, outputs, 3, down=True)
        self.skip = PlainConv(channels, outputs, 1, bias=False, act=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.fromrgb is not None:
            x = self.fromrgb(x)
        out: Tensor = (self.conv1(self.conv0(x)) + self.skip(x)) / math.sqrt(2)
        return out


class PlainEpilogue(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = PlainConv(channels + 1, channels, 3)
        self.fc = PlainLinear(channels * 16, channels, act=True)
        self.out = PlainLinear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        group = max(size for size in range(1, min(4, batch) + 1) if batch % size == 0)
        spread = x.view(group, -1, channels, height, width)
        spread = torch.sqrt(spread.var(0, unbiased=False) + 1e-8).mean([1, 2, 3], keepdim=True)
        x = torch.cat([x, spread.repeat(group, 1, height, width)], 1)
        x = self.fc(self.conv(x).reshape(batch, -1))
        logits: Tensor = self.out(x)
        return logits


class PlainDiscriminator(nn.Module):
    def __init__(self, resolution: int, *, channel_base: int, channel_max: int) -> None:
        super().__init__()
        self.sides = [2**k for k in range(int(math.log2(resolution)), 2, -1)]
        widths = {side: min(channel_base // side, channel_max) for side in [*self.sides, 4]}
        for side in self.sides:
            self.add_module(f"b{side}", PlainResidual(widths[side], widths[side // 2], first=side == resolution))
        self.b4 = PlainEpilogue(widths[4])

    def forward(self, x: Tensor) -> Tensor:
        for side in self.sides:
            x = self.get_submodule(f"b{side}")(x)
        logits: Tensor = self.b4(x)
        return logits


class PlainTrainer:
    """The usual step: discriminator, every 16th step R1, generator with new samples, average.

    Args:
        config: constructor arguments of the preset.
        lr: Adam's learning rate.
        r1_gamma: weight of the gradient penalty.
        r1_every: steps between penalties.
        mixing: probability that a batch mixes styles.
        half_life: of the average, in steps.
    """

    def __init__(
        self, config: dict[str, Any], *, lr: float, r1_gamma: float, r1_every: int, mixing: float, half_life: float
    ) -> None:
        wide = {name: config[name] for name in ("channel_base", "channel_max")}
        rest = {name: config[name] for name in ("z_dim", "w_dim", "mapping_layers")}
        self.generator = PlainGenerator(config["resolution"], **rest, **wide)
        self.discriminator = PlainDiscriminator(config["resolution"], **wide)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        ratio = r1_every / (r1_every + 1)
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), lr=lr, betas=(0.0, 0.99))
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=lr * ratio, betas=(0.0, 0.99**ratio))
        self.r1_gamma, self.r1_every, self.mixing = r1_gamma, r1_every, mixing
        self.keep = 0.5 ** (1 / half_life)
        self.step_index = 0

    def step(self, real: Tensor) -> None:
        """One step on ``real (B, 3, R, R)`` in [-1, 1]."""
        _requires_grad(self.generator, False)
        _requires_grad(self.discriminator, True)
        fake = self._fakes(len(real))
        loss = F.softplus(self.discriminator(fake)).mean() + F.softplus(-self.discriminator(real)).mean()
        self.discriminator.zero_grad()
        loss.backward()
        self.d_optimizer.step()
        if self.step_index % self.r1_every == 0:
            self._r1(real)
        _requires_grad(self.generator, True)
        _requires_grad(self.discriminator, False)
        loss = F.softplus(-self.discriminator(self._fakes(len(real)))).mean()
        self.generator.zero_grad()
        loss.backward()
        self.g_optimizer.step()
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.mul_(self.keep).add_(value, alpha=1 - self.keep)
        self.step_index += 1

    def _r1(self, real: Tensor) -> None:
        real = real.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.discriminator(real).sum(), real, create_graph=True)
        penalty = gradient.pow(2).reshape(len(real), -1).sum(1).mean()
        self.discriminator.zero_grad()
        (self.r1_gamma / 2 * penalty * self.r1_every).backward()
        self.d_optimizer.step()

    def _fakes(self, count: int) -> Tensor:
        z = torch.randn(2, count, self.generator.z_dim)
        mixed = float(torch.rand(())) < self.mixing
        images: Tensor = self.generator(z[0], other=z[1] if mixed else None, random_noise=True)
        return images


def _noise(ws: Tensor, side: int) -> Tensor:
    return torch.randn(len(ws), 1, side, side)


def _requires_grad(module: nn.Module, flag: bool) -> None:
    for parameter in module.parameters():
        parameter.requires_grad_(flag)
