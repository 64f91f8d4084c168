"""COCO-FUNIT's networks (Saito et al., "COCO-FUNIT: Few-Shot Unsupervised Image Translation with a Content Conditioned
Style Encoder", ECCV 2020).

    exemplars -> style encoder -> mean code (B, 64), with a constant vector -> MLP --+
    content -> content encoder -> layout (B, 1024, H / 16, W / 16) -> mean -> MLP --(x)-> MLP -> style (B, 256)
                                    |                                                              |
                                    +--------------------------> decoder <-------------------------+-> image in [-1, 1]

The style depends on the content, so that an exemplar's pose does not pull the layout along. Unlike in FUNIT every
adaptive normalisation has a linear layer of its own and multiplies by 1 + scale.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lowshotgan.nets.translation import (
    SLOPE,
    ClassDiscriminator,
    ContentEncoder,
    PatchTrunk,
    StyleEncoder,
    adain,
    conv,
    doubled_conv,
)


class Generator(nn.Module):
    """Translate content images into the class of exemplars, with a style that knows the content.

    Args:
        width: channels of the first layers.
        content_downs: halvings in the content encoder.
        class_downs: halvings in the style encoder.
        res_blocks: residual blocks in the content encoder and in the decoder.
        code_dim: values in a class code.
        mlp_width: values of a style, and hidden values of the MLPs.
        bias_dim: values of the constant vector put beside a code; 0 for none.
        content_aware: whether the style depends on the content; without it and the vector this is the "improved FUNIT"
            that the paper compares with.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        content_downs: int = 4,
        class_downs: int = 5,
        res_blocks: int = 2,
        code_dim: int = 64,
        mlp_width: int = 256,
        bias_dim: int = 1024,
        content_aware: bool = True,
    ) -> None:
        super().__init__()
        channels = width * 2**content_downs
        self.content_aware = content_aware
        self.style_encoder = StyleEncoder(width, class_downs, code_dim)
        self.content_encoder = ContentEncoder(width, content_downs, res_blocks, affine=True, closing_relu=True)
        self.style_bias = nn.Parameter(torch.randn(1, bias_dim)) if bias_dim else None
        changes_code = content_aware or bias_dim > 0
        self.mlp_style = MLP([code_dim + bias_dim, mlp_width, code_dim]) if changes_code else None
        self.mlp_content = MLP([channels, mlp_width, code_dim]) if content_aware else None
        self.mlp = MLP([code_dim, mlp_width, mlp_width])
        self.decoder = Decoder(channels, content_downs, res_blocks, mlp_width)

    def forward(self, content: Tensor, codes: Tensor) -> Tensor:
        """``(B, 3, H, W)`` translations of content ``(B, 3, H, W)`` by class codes ``(B, code_dim)`` or one code."""
        return self.decode(self.content_encoder(content), codes)

    def encode(self, exemplars: Tensor) -> Tensor:
        """``(B, code_dim)`` codes of single exemplars ``(B, 3, H, W)``; a class is the mean of its exemplars' codes."""
        codes: Tensor = self.style_encoder(exemplars)
        return codes

    def decode(self, layout: Tensor, codes: Tensor) -> Tensor:
        """Draw layouts ``(B, C, h, w)`` by class codes ``(B, code_dim)`` or one code ``(1, code_dim)``."""
        images: Tensor = self.decoder(layout, self.style(layout, codes))
        return images

    def style(self, layout: Tensor, codes: Tensor) -> Tensor:
        """``(B, mlp_width)`` styles of class codes ``(B, code_dim)``, or of one code, for layouts ``(B, C, h, w)``."""
        x = codes.expand(len(layout), -1)
        if self.style_bias is not None:
            x = torch.cat([x, self.style_bias.expand(len(layout), -1)], dim=1)
        if self.mlp_style is not None:
            x = self.mlp_style(x)
        if self.mlp_content is not None:
            x = x * self.mlp_content(layout.mean(dim=(2, 3)))
        styles: Tensor = self.mlp(x)
        return styles

    def class_modules(self) -> list[nn.Module]:
        """What turns exemplars into styles."""
        return [module for module in (self.style_encoder, self.mlp_style, self.mlp) if module is not None]

    def style_modules(self) -> list[nn.Module]:
        """The layers that give scales and shifts, one for each normalisation."""
        return [module.affine for module in self.decoder.modules() if isinstance(module, AdaptiveConv)]


class MLP(nn.Module):
    """Linear layers with a ReLU after each, the last included."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x))
        return x


class Decoder(nn.Module):
    """Layout and style to image; every layer but the last is adaptively normalised."""

    def __init__(self, channels: int, ups: int, res_blocks: int, style_dim: int) -> None:
        super().__init__()
        widths = [channels // 2**level for level in range(ups + 1)]
        self.res = nn.ModuleList(AdaptiveResBlock(channels, style_dim) for _ in range(res_blocks))
        self.up = nn.ModuleList(UpBlock(a, b, style_dim) for a, b in pairwise(widths))
        self.to_rgb = conv(widths[-1], 3, 7)

    def forward(self, layout: Tensor, style: Tensor) -> Tensor:
        x = layout
        for block in (*self.res, *self.up):
            x = block(x, style)
        image: Tensor = self.to_rgb(x)
        return image.tanh()


class AdaptiveConv(nn.Module):
    """ReLU(IN(conv(x)) * (1 + scale) + shift); its own linear layer gives scales, then shifts.

    With ``doubles`` the convolution, which is then 5 x 5, sees every pixel of x repeated 2 x 2.
    """

    def __init__(self, before: int, after: int, kernel: int, style_dim: int, *, doubles: bool = False) -> None:
        super().__init__()
        self.doubles = doubles
        self.conv = conv(before, after, kernel)
        self.affine = nn.Linear(style_dim, 2 * after)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.affine(style).chunk(2, dim=1)
        convolved = doubled_conv(x, self.conv) if self.doubles else self.conv(x)
        return F.relu(adain(convolved, 1 + scale, shift))


class AdaptiveResBlock(nn.Module):
    """x + two adaptive convolutions of x, the second activated too."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv0 = AdaptiveConv(channels, channels, 3, style_dim)
        self.conv1 = AdaptiveConv(channels, channels, 3, style_dim)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        change: Tensor = self.conv1(self.conv0(x, style), style)
        return x + change


class UpBlock(nn.Module):
    """Double the resolution between two adaptive convolutions, beside a shortcut.

    The shortcut is computed before it is doubled, which repeating pixels allows: 1 x 1 convolution and instance statistics
    are the same either way.
    """

    def __init__(self, before: int, after: int, style_dim: int) -> None:
        super().__init__()
        self.conv0 = AdaptiveConv(before, after, 5, style_dim)
        self.conv1 = AdaptiveConv(after, after, 5, style_dim, doubles=True)
        self.shortcut = AdaptiveConv(before, after, 1, style_dim)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        main: Tensor = self.conv1(self.conv0(x, style), style)
        return main + _doubled(self.shortcut(x, style))


class Discriminator(ClassDiscriminator):
    """Patch discriminator with projected classes (Miyato and Koyama 2018), its convolutions spectrally normalised.

    Args:
        num_classes: training classes.
        width: channels of the first layer.
        stages: pairs of residual blocks, halved between.
        cap: most channels of a layer.
    """

    def __init__(self, num_classes: int, *, width: int = 64, stages: int = 6, cap: int = 1024) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.trunk = PatchTrunk(width, stages, cap, shortcut_bias=True)
        self.head = nn.Conv2d(self.trunk.channels, 1, 1)
        self.embedding = nn.Embedding(num_classes, self.trunk.channels)
        for module in list(self.modules()):
            if isinstance(module, nn.Conv2d):
                spectral_norm(module)

    def judge(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Logits ``(B, h, w)``: those of patches, plus how well the mean features agree with the class."""
        patches = self.head(F.leaky_relu(raw, SLOPE))[:, 0]
        projected = (self.embedding(labels) * raw.mean(dim=(2, 3))).sum(dim=1)
        logits: Tensor = patches + projected[:, None, None]
        return logits


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
