"""Networks of PFS-GAN (Teng, Chen and Chiu, "Domain Adaptation for Learning Generator from Paired Few-Shot Data", 2021).

image (B, 3, 64, 64) -> CodeEncoder -> Codes(mean, log_variance)                  one for content, one per appearance
[appearance (B, 64); content (B, 64)] -> Generator -> (B, 3, 64, 64) in [-1, 1]
source image, target image -> Relation -> (B, 64) squared distances of their contents

Grey images have one channel instead of three; encoders see it three times.
"""

import copy
import math
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.nets.lado import Codes, EncoderBlock
from lowshotgan.nets.residual import Down, ResidualDiscriminator, ToImage, as_rgb, double, doublings
from lowshotgan.nets.vgg import VGG16_GROUPS, vgg16_layers

STEM = 10
"""Layers of VGG-16 up to its second pooling: what the relation network has of its own."""
HIDDEN = 1024
PATCH_BLOCKS = 3


class CodeEncoder(nn.Module):
    """From images ``(B, 3 or 1, R, R)`` to codes; ``stem`` brings them to R / 4, ``trunk`` and two heads do the rest.

    Args:
        resolution: R, a power of two, at least 32 for "vgg" and 16 for "conv".
        code_dim: length of a code.
        kind: "vgg" (VGG-16 up to its last pooling, then two linear layers) or "conv" (LaDo's encoder, which needs no
            ImageNet weights and is not the paper's).
        width: channels of "conv".
    """

    def __init__(self, resolution: int, *, code_dim: int, kind: str = "vgg", width: int = 128) -> None:
        super().__init__()
        if kind == "vgg":
            layers = vgg16_layers()
            self.stem = nn.Sequential(*layers[:STEM])
            flat = VGG16_GROUPS[-1][0] * (resolution // 32) ** 2
            self.trunk = nn.Sequential(
                *layers[STEM:], nn.Flatten(), *_linear(flat, HIDDEN), *_linear(HIDDEN, code_dim)
            )
            self.to_mean, self.to_log_variance = (_vgg_head(code_dim) for _ in range(2))
        else:
            self.stem = nn.Sequential(EncoderBlock(3, width), EncoderBlock(width, width))
            self.trunk = nn.Sequential(*(EncoderBlock(width, width) for _ in range(doublings(resolution) - 2)))
            self.to_mean, self.to_log_variance = (_conv_head(width, code_dim) for _ in range(2))

    def forward(self, images: Tensor) -> Codes:
        x = self.trunk(self.stem(as_rgb(images)))
        return Codes(self.to_mean(x).float(), self.to_log_variance(x).float())

    def mean(self, maps: Tensor) -> Tensor:
        """Means ``(B, code_dim)`` from what a stem gives, ``(B, C, R / 4, R / 4)``."""
        found: Tensor = self.to_mean(self.trunk(maps)).float()
        return found


class Relation(nn.Module):
    """How far the contents of a source image and of a target image are apart, per element of the code.

    Source images are encoded by the content encoder itself, target images through a stem of their own; only that stem
    belongs to this module, the encoder is frozen.
    """

    def __init__(self, content: CodeEncoder) -> None:
        super().__init__()
        self.stem = copy.deepcopy(content.stem)
        self._content = [content]  # in a list, so that its parameters are not this module's

    def forward(self, means: Tensor, targets: Tensor) -> Tensor:
        """``(B, D)`` squared differences.

        Args:
            means: ``(B, D)`` content means of the source images.
            targets: ``(B, 3 or 1, R, R)`` target images, or one for all means.
        """
        return (means - self._content[0].mean(self.stem(as_rgb(targets)))).square()


class Generator(nn.Module):
    """From codes ``(B, appearance_dim + content_dim)``, appearance first, to images ``(B, channels, R, R)`` in [-1, 1].

    Args:
        resolution: R, a power of two of at least 8.
        code_dim: length of both codes together.
        width: channels of every layer.
        channels: of the images.
    """

    def __init__(self, resolution: int, *, code_dim: int, width: int = 128, channels: int = 3) -> None:
        super().__init__()
        self.project = nn.Linear(code_dim, width * 16)
        self.blocks = nn.Sequential(*(UpInstance(width) for _ in range(doublings(resolution))))
        self.norm = nn.BatchNorm2d(width)
        self.to_image = ToImage(width, channels)
        self.apply(_xavier)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.project(codes).unflatten(1, (-1, 4, 4))  # (B, width, 4, 4)
        x = self.blocks(x)  # (B, width, R, R)
        image: Tensor = self.to_image(F.relu(self.norm(x)))
        return image


class UpInstance(nn.Module):
    """Doubling block with instance normalisation and a skip without weights: ``(B, C, H, H) -> (B, C, 2 H, 2 H)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        main = self.conv1(double(F.relu(F.instance_norm(x))))
        main = self.conv2(F.relu(F.instance_norm(main)))
        doubled: Tensor = main + double(x)
        return doubled


class Verdict(NamedTuple):
    """Logits of the discriminator of the target domain: ``patches (B, P)`` and ``image (B, 1)``."""

    patches: Tensor
    image: Tensor


class PatchDiscriminator(nn.Module):
    """Logits of patches from the map of an eighth of the resolution, and one of the whole image from the last map.

    Args:
        resolution: R, a power of two of at least 8; below 32 the patches are read from the last map too.
        width: channels of every layer.
        channels: of the images.
    """

    def __init__(self, resolution: int, *, width: int = 128, channels: int = 3) -> None:
        super().__init__()
        inputs = [channels] + [width] * (doublings(resolution) - 1)
        self.blocks = nn.ModuleList(Down(i, width, first=n == 0, spectral=False) for n, i in enumerate(inputs))
        self.to_patch = nn.Conv2d(width, 1, 1)
        self.to_logit = nn.Linear(width, 1)
        _initialise_judge(self)

    def forward(self, images: Tensor) -> Verdict:
        """The verdict on images ``(B, channels, R, R)`` in [-1, 1]."""
        x, middle = images, images
        for number, block in enumerate(self.blocks):
            x = block(x)
            middle = x if number < PATCH_BLOCKS else middle
        return Verdict(self.to_patch(middle).flatten(1), self.to_logit(x.mean(dim=(2, 3))))


def make_discriminator(resolution: int, *, width: int = 128, channels: int = 3) -> ResidualDiscriminator:
    """The discriminator of the source domain: halving blocks without spectral norm."""
    judge = ResidualDiscriminator([width] * doublings(resolution), flat=0, channels=channels, spectral=False)
    _initialise_judge(judge)
    return judge


def _linear(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    layer = nn.Linear(inputs, outputs)
    _xavier(layer)
    return layer, nn.ReLU()


def _vgg_head(code_dim: int) -> nn.Module:
    """The release has 3 x 3 convolutions on a 1 x 1 map, of which the middle weights alone meet anything but zeros."""
    last = nn.Linear(code_dim, code_dim)
    _xavier(last)
    return nn.Sequential(*_linear(code_dim, code_dim), last)


def _conv_head(width: int, code_dim: int) -> nn.Module:
    layer = nn.Conv2d(width, code_dim, 4)
    _xavier(layer)
    return nn.Sequential(layer, nn.Flatten())


def _xavier(layer: nn.Module, gain: float = 1.0) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight, gain=gain)


def _initialise_judge(judge: nn.Module) -> None:
    judge.apply(_xavier)
    for block in judge.modules():
        if isinstance(block, Down):
            _xavier(block.skip, gain=math.sqrt(2))
