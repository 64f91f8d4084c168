"""What of the discriminator judges, and what of it trains (the fifth slot of a recipe)."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lowshotgan.finetune.parts import Part, need, need_number
from lowshotgan.nets.layers import EqualConv2d, EqualLinear
from lowshotgan.nets.stylegan2 import Discriminator


class Judge(nn.Module):
    """A discriminator in the state fine-tuning left it: ``(B, 3, R, R)`` images to logits.

    Args:
        discriminator: copied; the given network is not changed.
        frozen: names of its parameters that stay.
    """

    def __init__(self, discriminator: Discriminator, *, frozen: Iterable[str] = ()) -> None:
        super().__init__()
        self.discriminator = copy.deepcopy(discriminator).requires_grad_(True)
        held = set(frozen)
        for name, parameter in self.discriminator.named_parameters():
            parameter.requires_grad_(name not in held)
        self.trained = [name for name, value in self.named_parameters() if value.requires_grad]

    def forward(self, images: Tensor, *, whole: bool | None = True, step: int = 0) -> Tensor:
        """Raw logits.

        Args:
            images: ``(B, 3, R, R)`` in [-1, 1].
            whole: judge whole images or patches, for heads that can do both; ``None`` leaves it to the head.
            step: for heads that change with the step.

        Returns:
            ``(B, 1)``, or ``(B, 1, h, w)`` for patches.
        """
        logits: Tensor = self.discriminator(images)
        return logits

    def parameters_to_train(self) -> list[nn.Parameter]:
        """Parameters an optimiser may change."""
        return [self.get_parameter(name) for name in self.trained]

    def is_final(self, name: str) -> bool:
        """Whether a parameter belongs to the last layers, from 4x4 pixels on."""
        return not name.startswith("discriminator.b") or name.startswith("discriminator.b4.")


class PatchJudge(Judge):
    """Whole images by the discriminator, patches by a 3x3 convolution on one of its maps (CDC, Ojha et al. 2021).

    Args:
        discriminator: copied.
        frozen: names of its parameters that stay.
        side: of the map that patches are judged on.
        parity: keep the leaky ReLU the released code has after the last layer.
        random: source of the start values of the new layer.
    """

    def __init__(
        self,
        discriminator: Discriminator,
        *,
        frozen: Iterable[str] = (),
        side: int,
        parity: bool = False,
        random: torch.Generator,
    ) -> None:
        super().__init__(discriminator, frozen=frozen)
        self.tap = 2 * side
        width = discriminator.get_parameter(f"b{self.tap}.conv1.weight").shape[0]
        self.patch = EqualConv2d(width, 1, 3, activate=parity)
        with torch.no_grad():
            self.patch.weight.copy_(torch.randn(self.patch.weight.shape, generator=random))
        self.trained = [name for name, value in self.named_parameters() if value.requires_grad]

    def forward(self, images: Tensor, *, whole: bool | None = True, step: int = 0) -> Tensor:
        if whole is None:
            whole = step % 2 == 0
        if whole:
            return super().forward(images)
        features: dict[str, Tensor] = {}
        x = images
        for side in self.discriminator.sides:
            x = self.discriminator.get_submodule(f"b{side}")(x, features, f"b{side}")
            if side == self.tap:
                break
        logits: Tensor = self.patch(features[f"b{self.tap}.conv1"])
        return logits


class ProbeJudge(Judge):
    """A new linear layer, zero at the start, on the frozen discriminator's last features (GenDA, Yang et al. 2021)."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__(discriminator, frozen=[name for name, _ in discriminator.named_parameters()])
        self.probe = EqualLinear(discriminator.b4.out.weight.shape[1], 1)
        with torch.no_grad():
            self.probe.weight.zero_()
        self.trained = ["probe.weight", "probe.bias"]

    def forward(self, images: Tensor, *, whole: bool | None = True, step: int = 0) -> Tensor:
        _, features = self.discriminator(images, return_features=True)
        logits: Tensor = self.probe(features["b4.fc"])
        return logits


@dataclass(frozen=True)
class Head(Part):
    """Base of all heads."""

    def build(self, discriminator: Discriminator, *, random: torch.Generator) -> Judge:
        """A judge made from a copy of ``discriminator``; ``random`` is the source of new start values."""
        return Judge(discriminator)


@dataclass(frozen=True)
class ImageHead(Head):
    """The source's discriminator, all of it trained."""

    kind: ClassVar[str] = "image"


@dataclass(frozen=True)
class PatchHead(Head):
    """Whole images near anchors, patches elsewhere; with other latents the two take turns (CDC, Ojha et al. 2021).

    Attributes:
        divisor: patches are judged on the map of side ``resolution / divisor`` (at least 4).
        parity: keep the released code's activation after the last layer.
        freeze_divisor: freeze blocks above side ``resolution / freeze_divisor``; 0 for none.
    """

    divisor: int = 8
    parity: bool = False
    freeze_divisor: int = 0
    kind: ClassVar[str] = "image_patch"

    def __post_init__(self) -> None:
        need_number("image_patch.divisor", self.divisor, 2)
        need_number("image_patch.freeze_divisor", self.freeze_divisor, 0)

    def build(self, discriminator: Discriminator, *, random: torch.Generator) -> Judge:
        side = max(discriminator.resolution // self.divisor, 4)
        need(
            2 * side in discriminator.sides,
            f"image_patch.divisor={self.divisor} asks for a map of {side} px, which a {discriminator.resolution} px "
            f"discriminator does not have; use a power of two.",
        )
        last = discriminator.resolution // self.freeze_divisor if self.freeze_divisor else discriminator.resolution
        frozen = _above(discriminator, last)
        return PatchJudge(discriminator, frozen=frozen, side=side, parity=self.parity, random=random)


@dataclass(frozen=True)
class FreezeD(Head):
    """The source's discriminator with its layers nearest to the image frozen (FreezeD, Mo et al. 2020).

    Attributes:
        side: freeze every block above this side (at least the one nearest to the image); used when ``layers`` is 0.
        layers: freeze this many layers counted from the image (fromrgb, then conv0, conv1, skip of each block).
    """

    side: int = 16
    layers: int = 0
    kind: ClassVar[str] = "freeze_d"

    def __post_init__(self) -> None:
        need_number("freeze_d.side", self.side, 4)
        need_number("freeze_d.layers", self.layers, 0)

    def build(self, discriminator: Discriminator, *, random: torch.Generator) -> Judge:
        side = min(self.side, discriminator.resolution // 2)
        frozen = _first(discriminator, self.layers) if self.layers else _above(discriminator, side)
        return Judge(discriminator, frozen=frozen)


@dataclass(frozen=True)
class LinearProbe(Head):
    """Only a new linear layer on the frozen discriminator's last features (GenDA, Yang et al. 2021); for one image."""

    kind: ClassVar[str] = "linear_probe"

    def build(self, discriminator: Discriminator, *, random: torch.Generator) -> Judge:
        return ProbeJudge(discriminator)


def _above(discriminator: Discriminator, side: int) -> list[str]:
    frozen = tuple(f"b{each}." for each in discriminator.sides if each > side)
    return [name for name, _ in discriminator.named_parameters() if frozen and name.startswith(frozen)]


def _first(discriminator: Discriminator, layers: int) -> list[str]:
    order: list[str] = []
    for name, _ in discriminator.named_parameters():
        layer = name.rpartition(".")[0]
        if layer not in order:
            order.append(layer)
    need(
        layers < len(order),
        f"freeze_d.layers={layers}, but this discriminator has {len(order)} layers; leave at least one to train.",
    )
    frozen = set(order[:layers])
    return [name for name, _ in discriminator.named_parameters() if name.rpartition(".")[0] in frozen]


HEADS: dict[str, type[Head]] = {part.kind: part for part in (ImageHead, PatchHead, FreezeD, LinearProbe)}
