"""FUNIT's networks (Liu et al., "Few-Shot Unsupervised Image-to-Image Translation", ICCV 2019, and its release).

    exemplars -> class encoder -> mean code (B, 64) -> MLP -> style (B, layers, 2, 512) -+
    content (B, 3, H, W) -> content encoder -> (B, 512, H / 8, W / 8) -> decoder <-------+-> (B, 3, H, W) in [-1, 1]

The style holds shift and scale, in this order, of every adaptive normalisation of the decoder's residual blocks;
the class enters nowhere else.
"""

import itertools
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.checks import one_of
from lowshotgan.errors import ConfigError
from lowshotgan.nets.translation import (
    SLOPE,
    ClassDiscriminator,
    ContentEncoder,
    PatchTrunk,
    StyleEncoder,
    adain,
    conv,
    doubled_conv,
    kaiming_init,
)

Dialect = Literal["official", "clean"]


class Generator(nn.Module):
    """Translate content images into the class of exemplars.

    Args:
        width: channels of the first layers.
        content_downs: halvings in the content encoder.
        class_downs: halvings in the class encoder.
        res_blocks: residual blocks in the content encoder and in the decoder.
        code_dim: values in a class code.
        mlp_width: hidden values of the MLP.
        mlp_layers: linear layers of the MLP.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        content_downs: int = 3,
        class_downs: int = 4,
        res_blocks: int = 2,
        code_dim: int = 64,
        mlp_width: int = 256,
        mlp_layers: int = 3,
    ) -> None:
        super().__init__()
        channels = width * 2**content_downs
        self.code_dim, self.content_downs, self.class_downs = code_dim, content_downs, class_downs
        self.class_encoder = StyleEncoder(width, class_downs, code_dim)
        self.content_encoder = ContentEncoder(width, content_downs, res_blocks)
        self.decoder = Decoder(channels, content_downs, res_blocks)
        sizes = [code_dim, *[mlp_width] * (mlp_layers - 1), self.decoder.style_size]
        self.mlp = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        kaiming_init(self)

    def forward(self, content: Tensor, codes: Tensor) -> Tensor:
        """``(B, 3, H, W)`` translations of content ``(B, 3, H, W)`` by class codes ``(B, code_dim)`` or one code."""
        return self.decode(self.content_encoder(content), codes)

    def encode(self, exemplars: Tensor) -> Tensor:
        """``(B, code_dim)`` codes of single exemplars ``(B, 3, H, W)``; a class is the mean of its exemplars' codes."""
        codes: Tensor = self.class_encoder(exemplars)
        return codes

    def decode(self, layout: Tensor, codes: Tensor) -> Tensor:
        """Draw layouts ``(B, C, h, w)`` by class codes ``(B, code_dim)`` or one code ``(1, code_dim)``."""
        images: Tensor = self.decoder(layout, self.style(codes).expand(len(layout), -1, -1, -1))
        return images

    def class_modules(self) -> list[nn.Module]:
        """What turns exemplars into styles."""
        return [self.class_encoder, self.mlp]

    def style_modules(self) -> list[nn.Module]:
        """The layer that gives shifts and scales."""
        return [self.mlp[-1]]

    def style(self, codes: Tensor) -> Tensor:
        """``(B, layers, 2, C)`` shifts and scales of class codes ``(B, code_dim)``."""
        x = codes
        for layer in self.mlp[:-1]:
            x = F.relu(layer(x))
        return self.decoder.as_style(self.mlp[-1](x))


class Decoder(nn.Module):
    """Layout and style to image: adaptive residual blocks, then doublings with plain instance normalisation."""

    def __init__(self, channels: int, ups: int, res_blocks: int) -> None:
        super().__init__()
        widths = [channels // 2**level for level in range(ups + 1)]
        self.channels = channels
        self.res = nn.ModuleList(AdaptiveResBlock(channels) for _ in range(res_blocks))
        self.up = nn.ModuleList(conv(a, b, 5) for a, b in itertools.pairwise(widths))
        self.to_rgb = conv(widths[-1], 3, 7)

    @property
    def style_size(self) -> int:
        """Values in a style."""
        return len(self.res) * 2 * 2 * self.channels

    def as_style(self, values: Tensor) -> Tensor:
        """``(B, layers, 2, C)`` from the MLP's ``(B, style_size)``: layer by layer, shifts before scales."""
        return values.view(len(values), 2 * len(self.res), 2, self.channels)

    def forward(self, layout: Tensor, style: Tensor) -> Tensor:
        x = layout
        for index, block in enumerate(self.res):
            x = block(x, style[:, 2 * index], style[:, 2 * index + 1])
        for up in self.up:
            x = F.relu(F.instance_norm(doubled_conv(x, cast(nn.Conv2d, up))))
        image: Tensor = self.to_rgb(x)
        return image.tanh()


class AdaptiveResBlock(nn.Module):
    """x + AdaIN(conv(ReLU(AdaIN(conv(x))))); each style is ``(B, 2, C)``, shift then scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, 3)
        self.conv2 = conv(channels, channels, 3)

    def forward(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        change = F.relu(adain(self.conv1(x), first[:, 1], first[:, 0]))
        return x + adain(self.conv2(change), second[:, 1], second[:, 0])


class Discriminator(ClassDiscriminator):
    """Patch discriminator with one output per class, of which only the asked class's is computed.

    The release activates in place, which has two effects that its weights rely on: an identity shortcut adds the
    activated input, and the features are activated ones. ``dialect="official"`` does so openly; ``"clean"`` adds the
    input as it is and returns the features as they are.

    Args:
        num_classes: training classes.
        width: channels of the first layer.
        res_blocks: blocks, an even number.
        cap: most channels of a layer.
        dialect: "official" or "clean".

    Raises:
        ConfigError: for an odd number of blocks or an unknown dialect.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        width: int = 64,
        res_blocks: int = 10,
        cap: int = 1024,
        dialect: Dialect = "official",
    ) -> None:
        super().__init__()
        one_of("dialect", dialect, ("official", "clean"))
        if res_blocks < 2 or res_blocks % 2:
            raise ConfigError(f"a discriminator has an even number of residual blocks, got {res_blocks}.")
        self.num_classes, self.dialect = num_classes, dialect
        self.trunk = PatchTrunk(width, res_blocks // 2, cap, activated_shortcut=dialect == "official")
        self.head = nn.Conv2d(self.trunk.channels, num_classes, 1)
        kaiming_init(self)

    def judge(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Logits ``(B, h, w)`` of each image by its own class's output."""
        active = F.leaky_relu(raw, SLOPE)
        weight = self.head.weight.flatten(1)[labels]  # (B, C)
        assert self.head.bias is not None
        logits = torch.einsum("bchw,bc->bhw", active, weight.to(active.dtype))
        return logits + self.head.bias[labels][:, None, None]

    def matched(self, raw: Tensor) -> Tensor:
        """The trunk's features, activated in the official dialect."""
        return F.leaky_relu(raw, SLOPE) if self.dialect == "official" else raw
