"""Layers of StyleGAN2 (Karras et al., CVPR 2020): equalised weights, modulated convolution, FIR resampling.

Weights are stored N(0, 1) and scaled when used, so every layer learns at the same speed. The leaky ReLU gain of
sqrt(2) is folded into weight, demodulation and bias, which the positive homogeneity of the ReLU allows; that saves
one pass over each feature map.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.processes import own_share, whole_batch

Modulation = Literal["shared", "grouped"]
GAIN = math.sqrt(2.0)
SLOPE = 0.2
_EPS = 1e-8


class EqualLinear(nn.Module):
    """Fully connected layer with an equalised learning rate; ``activate`` adds leaky ReLU times sqrt(2).

    ``(B, in_features) -> (B, out_features)``.
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: float = 0.0, lr_mul: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_mul)
        self.bias = nn.Parameter(torch.full((out_features,), bias / lr_mul))
        self.weight_gain = lr_mul / math.sqrt(in_features)
        self.bias_gain = lr_mul
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        gain = GAIN if self.activate else 1.0
        x = F.linear(x, self.weight * (self.weight_gain * gain), self.bias * (self.bias_gain * gain))
        return F.leaky_relu(x, SLOPE) if self.activate else x


class EqualConv2d(nn.Module):
    """Convolution with an equalised learning rate, optional activation and optional FIR-filtered downsampling.

    ``(B, in_channels, H, W) -> (B, out_channels, H / down, W / down)``.
    """

    filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        activate: bool = True,
        down: int = 1,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        gain = GAIN if activate else 1.0
        self.weight_gain = gain / math.sqrt(in_channels * kernel_size**2)
        self.bias_gain = gain
        self.activate = activate
        self.down = down
        self.padding = kernel_size // 2
        self.register_buffer("filter", fir_filter(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.weight_gain
        bias = None if self.bias is None else self.bias * self.bias_gain
        if self.down == 1:
            x = F.conv2d(x, weight, bias, padding=self.padding)
        elif self.padding:
            x = F.conv2d(fir(x, self.filter, pad=(2, 2)), weight, bias, stride=2)
        else:  # 1x1: filter and keep every second pixel in one go
            x = F.conv2d(fir(x, self.filter, pad=(1, 1), stride=2), weight, bias)
        return F.leaky_relu(x, SLOPE) if self.activate else x


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style and whose output is demodulated to unit variance.

    ``x (B, I, H, W), style (B, I) -> (B, O, H * up, W * up)``. With ``modulation="shared"`` the input is scaled,
    convolved with one shared kernel and the output is rescaled; ``"grouped"`` builds one kernel per sample. Both
    are equal in exact arithmetic; the first is faster on a CPU and exports with a dynamic batch.
    """

    filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        demodulate: bool = True,
        up: bool = False,
        modulation: Modulation = "shared",
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.weight_gain = 1.0 / math.sqrt(in_channels * kernel_size**2)
        self.demodulate = demodulate
        self.up = up
        self.modulation = modulation
        self.padding = kernel_size // 2
        self.register_buffer("filter", fir_filter(), persistent=False)

    def forward(self, x: Tensor, style: Tensor, gain: float = 1.0) -> Tensor:
        weight = self.weight * self.weight_gain
        if self.modulation == "grouped":
            return self._grouped(x, weight, style, gain)
        x = self._convolve(x * style.to(x.dtype)[:, :, None, None], weight, groups=1)
        scale = self._demodulation(weight, style) * gain if self.demodulate else None
        return x if scale is None else x * scale.to(x.dtype)[:, :, None, None]

    def _demodulation(self, weight: Tensor, style: Tensor) -> Tensor:
        with _without_autocast(style):
            energy = weight.float().square().sum(dim=(2, 3))  # (O, I)
            return (style.float().square() @ energy.T + _EPS).rsqrt()  # (B, O)

    def _grouped(self, x: Tensor, weight: Tensor, style: Tensor, gain: float) -> Tensor:
        batch = len(x)
        weights = weight * style[:, None, :, None, None]  # (B, O, I, k, k)
        if self.demodulate:
            weights = weights * (weights.square().sum(dim=(2, 3, 4), keepdim=True) + _EPS).rsqrt() * gain
        x = self._convolve(x.reshape(1, -1, *x.shape[2:]), weights.flatten(0, 1), groups=batch)
        return x.view(batch, -1, *x.shape[2:])

    def _convolve(self, x: Tensor, weight: Tensor, *, groups: int) -> Tensor:
        if not self.up:
            return F.conv2d(x, weight, padding=self.padding, groups=groups)
        weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)  # (g * I, O, k, k)
        x = F.conv_transpose2d(x, weight, stride=2, groups=groups)  # 2H + 1
        return fir(x, self.filter * 4.0, pad=(1, 1))  # 2H


class MinibatchStd(nn.Module):
    """Append one channel with the standard deviation over groups of samples (Karras et al. 2018).

    The group size is the largest divisor of the batch not above ``group``; sample i belongs to group
    ``i mod (B / group)``. ``(B, C, H, W) -> (B, C + 1, H, W)``.

    Attributes:
        across: groups are formed in the whole batch of all processes, which must then all call this alike.
    """

    across = False

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        whole = whole_batch(x.float()) if self.across else x.float()
        batch, _, height, width = whole.shape
        size = next(g for g in range(min(self.group, batch), 0, -1) if batch % g == 0)
        grouped = whole.view(size, batch // size, *x.shape[1:])
        deviation = (grouped.var(dim=0, unbiased=False) + _EPS).sqrt().mean(dim=(1, 2, 3))  # (B / size,)
        deviation = own_share(deviation.repeat(size)) if self.across else deviation.repeat(size)
        channel = deviation.view(-1, 1, 1, 1).expand(-1, 1, height, width)
        return torch.cat([x, channel.to(x.dtype)], dim=1)


def _without_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """For sums that need float32; tensors on "meta", which compute nothing, know no autocast."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def fir_filter() -> Tensor:
    """The resampling filter [1, 3, 3, 1] as a ``(4, 4)`` outer product that sums to 1."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(row, row)
    return kernel / kernel.sum()


def fir(x: Tensor, kernel: Tensor, *, pad: tuple[int, int], stride: int = 1) -> Tensor:
    """Filter every channel with ``kernel (4, 4)``, padding ``pad`` = (before, after) in both directions."""
    channels = x.shape[1]
    weight = kernel.to(x.dtype).expand(channels, 1, *kernel.shape)
    if pad[0] == pad[1]:
        return F.conv2d(x, weight, padding=pad[0], groups=channels, stride=stride)
    return F.conv2d(F.pad(x, (*pad, *pad)), weight, groups=channels, stride=stride)


def upsample2(x: Tensor, kernel: Tensor) -> Tensor:
    """Double the resolution of an image by zero insertion and the FIR filter: ``(B, C, H, W) -> (B, C, 2H, 2W)``."""
    channels = x.shape[1]
    weight = (kernel * 4.0).to(x.dtype).expand(channels, 1, *kernel.shape)
    return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)
