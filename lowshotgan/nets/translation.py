"""What the exemplar-guided translators share: encoders, adaptive normalisation, blocks of patch discriminators.

    exemplar (B, 3, H, W) -> StyleEncoder -> class code (B, L)
    content  (B, 3, H, W) -> ContentEncoder -> layout (B, width 2**downs, H / 2**downs, W / 2**downs)

FUNIT (Liu et al., ICCV 2019) and COCO-FUNIT (Saito et al., ECCV 2020) use these; all padding is by reflection.
"""

import itertools
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2


def conv(before: int, after: int, kernel: int, stride: int = 1, *, bias: bool = True) -> nn.Conv2d:
    """A convolution, padded by reflection so that stride 1 keeps the size of odd kernels and stride 2 halves it."""
    padding = (kernel - 1) // 2
    return nn.Conv2d(before, after, kernel, stride, padding, bias=bias, padding_mode="reflect")


class StyleEncoder(nn.Module):
    """Exemplars to class codes: no normalisation, so that colours and contrasts survive; pooled over positions.

    Args:
        width: channels of the first layer; they double twice.
        downs: halvings of the resolution, at least 2.
        code_dim: values in a class code.
    """

    def __init__(self, width: int, downs: int, code_dim: int) -> None:
        super().__init__()
        widths = [min(width * 2**level, width * 4) for level in range(downs + 1)]
        self.stem = conv(3, width, 7)
        self.down = nn.ModuleList(conv(a, b, 4, 2) for a, b in itertools.pairwise(widths))
        self.head = nn.Conv2d(widths[-1], code_dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, code_dim)`` codes of images ``(B, 3, H, W)``."""
        x = F.relu(self.stem(images))
        for down in self.down:
            x = F.relu(down(x))
        pooled = x.mean(dim=(2, 3), keepdim=True)
        code: Tensor = self.head(pooled).flatten(1)
        return code


class ContentEncoder(nn.Module):
    """Content image to layout; instance normalisation removes colours and contrasts.

    Args:
        width: channels of the first layer; they double with each halving.
        downs: halvings of the resolution.
        res_blocks: residual blocks at the end.
        affine: whether normalisations have learned scales and shifts (COCO-FUNIT).
        closing_relu: whether residual branches end in a ReLU (COCO-FUNIT).
    """

    def __init__(
        self, width: int, downs: int, res_blocks: int, *, affine: bool = False, closing_relu: bool = False
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(downs + 1)]
        self.stem = NormalisedConv(3, width, 7, affine=affine)
        pairs = itertools.pairwise(widths)
        self.down = nn.ModuleList(NormalisedConv(a, b, 4, 2, affine=affine) for a, b in pairs)
        self.res = nn.ModuleList(
            ResBlock(widths[-1], affine=affine, closing_relu=closing_relu) for _ in range(res_blocks)
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(B, width 2**downs, H / 2**downs, W / 2**downs)`` of images ``(B, 3, H, W)``."""
        x = F.relu(self.stem(images))
        for down in self.down:
            x = F.relu(down(x))
        for block in self.res:
            x = block(x)
        return x


class NormalisedConv(nn.Module):
    """Convolution and instance normalisation, without activation."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, *, affine: bool = False) -> None:
        super().__init__()
        self.conv = conv(before, after, kernel, stride)
        self.norm = nn.InstanceNorm2d(after, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.norm(self.conv(x))
        return normalised


class ResBlock(nn.Module):
    """x + normalised conv(ReLU(normalised conv(x))), the sum not activated."""

    def __init__(self, channels: int, *, affine: bool = False, closing_relu: bool = False) -> None:
        super().__init__()
        self.conv1 = NormalisedConv(channels, channels, 3, affine=affine)
        self.conv2 = NormalisedConv(channels, channels, 3, affine=affine)
        self.closing_relu = closing_relu

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + (F.relu(change) if self.closing_relu else change)


def adain(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Adaptive instance normalisation: ``scale * IN(x) + shift`` for ``x (B, C, h, w)``, the others ``(B, C)``."""
    normalised = F.instance_norm(x.float())
    return (normalised * scale.float()[:, :, None, None] + shift.float()[:, :, None, None]).to(x.dtype)


def doubled_conv(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """A 5 x 5 convolution of ``x`` with every pixel repeated 2 x 2, at little more than a third of the work.

    Neighbours that repeat one pixel share it, so that each of the four places within a pixel sees 3 x 3 pixels of ``x``
    through summed weights. Reflection differs from repetition at the outermost rows and columns only, which are put right.

    Args:
        x: ``(B, C, h, w)``, both sides at least 2.
        layer: as made by ``conv(before, after, 5)``.

    Returns:
        ``(B, after, 2 h, 2 w)``, what ``layer`` gives for the repeated pixels.
    """
    weight = layer.weight
    merge = weight.new_tensor(_MERGE)
    kernels = torch.einsum("pia,qjb,ocab->opqcij", merge, merge, weight).reshape(-1, weight.shape[1], 3, 3)
    bias = None if layer.bias is None else layer.bias.repeat_interleave(4)
    out = F.pixel_shuffle(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernels, bias), 2)
    for step, place, tap in ((x[:, :, 1] - x[:, :, 0], 0, 0), (x[:, :, -2] - x[:, :, -1], -1, 4)):
        row = F.pad(step.repeat_interleave(2, dim=2), (2, 2), mode="reflect")  # (B, C, 2 w + 4)
        out[:, :, place] = out[:, :, place] + F.conv1d(row, weight[:, :, tap])
    for step, place, tap in ((x[:, :, :, 1] - x[:, :, :, 0], 0, 0), (x[:, :, :, -2] - x[:, :, :, -1], -1, 4)):
        column = F.pad(step.repeat_interleave(2, dim=2), (2, 2), mode="replicate")  # (B, C, 2 h + 4)
        out[:, :, :, place] = out[:, :, :, place] + F.conv1d(column, weight[:, :, :, tap])
    return out


_MERGE = [[[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]], [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]]]
"""Place within a pixel x pixel before, at or after it x tap of the kernel that falls on that pixel."""


class PreActivationBlock(nn.Module):
    """Residual block of a discriminator: shortcut(x) + conv(LReLU(conv(LReLU(x)))).

    Args:
        before: channels in.
        after: channels out; if they differ, the shortcut is a 1 x 1 convolution of x as it came.
        shortcut_bias: whether that convolution has a bias.
        activated_shortcut: add LReLU(x) instead of x where the shortcut is the identity (see ``nets.funit``).
    """

    def __init__(
        self, before: int, after: int, *, shortcut_bias: bool = False, activated_shortcut: bool = False
    ) -> None:
        super().__init__()
        hidden = min(before, after)
        self.conv0 = conv(before, hidden, 3)
        self.conv1 = conv(hidden, after, 3)
        self.shortcut = nn.Conv2d(before, after, 1, bias=shortcut_bias) if before != after else None
        self.activated_shortcut = activated_shortcut

    def forward(self, x: Tensor) -> Tensor:
        active = F.leaky_relu(x, SLOPE)
        change: Tensor = self.conv1(F.leaky_relu(self.conv0(active), SLOPE))
        if self.shortcut is not None:
            skipped: Tensor = self.shortcut(x)
            return skipped + change
        return (active if self.activated_shortcut else x) + change


class PatchTrunk(nn.Module):
    """Image to feature map: stages of two blocks each, halved between stages.

    Args:
        width: channels of the first layer.
        stages: pairs of blocks; the second of a pair doubles the channels up to ``cap``.
        cap: most channels of a layer.
        shortcut_bias: as in ``PreActivationBlock``; so is ``activated_shortcut``.
    """

    def __init__(
        self,
        width: int,
        stages: int,
        cap: int,
        *,
        shortcut_bias: bool = False,
        activated_shortcut: bool = False,
    ) -> None:
        super().__init__()
        widths = [min(width * 2**level, cap) for level in range(stages + 1)]
        options = {"shortcut_bias": shortcut_bias, "activated_shortcut": activated_shortcut}
        self.stem = conv(3, width, 7)
        self.stage = nn.ModuleList(
            nn.ModuleList([PreActivationBlock(a, a, **options), PreActivationBlock(a, b, **options)])
            for a, b in itertools.pairwise(widths)
        )
        self.channels = widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """``(B, channels, H / 2**(stages - 1), W / 2**(stages - 1))`` of images ``(B, 3, H, W)``."""
        x: Tensor = self.stem(images)
        for index, blocks in enumerate(self.stage):
            x = x if index == 0 else halve(x)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x)
        return x


class ClassDiscriminator(nn.Module):
    """Base of the discriminators that judge an image as one of its class.

    A subclass builds its ``trunk`` and says what the logits are (``judge``) and which features are matched (``matched``).
    """

    trunk: PatchTrunk
    num_classes: int

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Judge each image as one of its class.

        Args:
            images: ``(B, 3, H, W)``.
            labels: ``(B,)`` int64, from 0 to ``num_classes - 1``.

        Returns:
            Logits ``(B, h, w)`` of patches, and the features ``(B, C, h, w)`` that are matched.
        """
        raw: Tensor = self.trunk(images)
        return self.judge(raw, labels), self.matched(raw)

    def features(self, images: Tensor) -> Tensor:
        """The features that are matched, ``(B, C, h, w)``."""
        return self.matched(self.trunk(images))

    @abstractmethod
    def judge(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Logits ``(B, h, w)`` from the trunk's features ``(B, C, h, w)``."""

    def matched(self, raw: Tensor) -> Tensor:
        """What is matched of the trunk's features: all of them, as they are."""
        return raw


def halve(x: Tensor) -> Tensor:
    """Means of 3 x 3 neighbourhoods at every second position, padded by reflection."""
    return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 2)


def kaiming_init(network: nn.Module) -> None:
    """Kaiming normal weights (fan in, gain √2) and zero biases in every convolution and linear layer."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=0, mode="fan_in")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
