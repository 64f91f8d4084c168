"""Which parameters of the generator move, and how they are written (the first slot of a recipe).

A trainable is data. ``build`` makes a module of new tensors that leaves the generator exactly as it was until the
first optimiser step.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch

from lowshotgan.finetune.fisher import FilterMasks, MaskContext
from lowshotgan.finetune.overrides import (
    BlockOffset,
    Chain,
    LowRankAffine,
    Overrides,
    StyleOffsets,
    StyleVectorMap,
    Values,
)
from lowshotgan.finetune.parts import Part, need, need_number
from lowshotgan.nets.stylegan2 import Generator


@dataclass(frozen=True)
class Trainable(Part):
    """Base of all trainables."""

    def build(self, generator: Generator, *, random: torch.Generator) -> Overrides:
        """New tensors for ``generator``; ``random`` is the source of any random start value."""
        return Values(generator, self.names(generator))

    def names(self, generator: Generator) -> Iterable[str]:
        """Parameters that are copied and trained, for trainables that train the generator's own parameters."""
        return ()

    def controller(self, context: MaskContext) -> FilterMasks | None:
        """What holds part of the parameters during training, if anything does."""
        return None


@dataclass(frozen=True)
class Full(Trainable):
    """Every parameter, the mapping network included (TGAN, Wang et al., ECCV 2018).

    Noise that the source does not use (strength exactly 0) stays off: a few images would turn it into grain.
    """

    kind: ClassVar[str] = "full"

    def names(self, generator: Generator) -> Iterable[str]:
        return _in_use(generator)


@dataclass(frozen=True)
class FreezeLowres(Trainable):
    """All blocks above ``side`` pixels; the mapping network and the smaller blocks stay (colour and texture only)."""

    side: int = 16
    kind: ClassVar[str] = "freeze_lowres"

    def __post_init__(self) -> None:
        need_number("freeze_lowres.side", self.side, 4, 512)

    def names(self, generator: Generator) -> Iterable[str]:
        need(
            self.side < generator.resolution,
            f"freeze_lowres(side={self.side}) leaves nothing to train in a {generator.resolution} px generator; "
            f"use a smaller side.",
        )
        free = tuple(f"synthesis.b{side}." for side in generator.synthesis.sides if side > self.side)
        return _in_use(generator, free)


@dataclass(frozen=True)
class Affine(Trainable):
    """All style affines, those of the RGB layers included (StyleDomain, Alanov et al., ICCV 2023)."""

    kind: ClassVar[str] = "affine"

    def names(self, generator: Generator) -> Iterable[str]:
        return [name for name, _ in generator.named_parameters() if ".affine." in name]


@dataclass(frozen=True)
class AffinePlus(Affine):
    """All style affines and a kernel-wide weight offset in one block (StyleDomain's Affine+).

    Attributes:
        divisor: the block has side ``resolution / divisor`` (4 in the paper's 256 px models).
    """

    divisor: int = 4
    kind: ClassVar[str] = "affine_plus"

    def __post_init__(self) -> None:
        need_number("affine_plus.divisor", self.divisor, 1)

    def build(self, generator: Generator, *, random: torch.Generator) -> Overrides:
        return Chain([super().build(generator, random=random), BlockOffset(generator, _side(generator, self.divisor))])


@dataclass(frozen=True)
class AffineLora(Trainable):
    """Low-rank changes of all style affines, with or without a block offset (StyleDomain's AffineLight+).

    Attributes:
        rank: of each change; 5 in the paper.
        divisor: the block that gets a weight offset has side ``resolution / divisor``; 0 for none.
        scale: multiplies the low-rank change. The affine layer's own gain is ``1 / sqrt(w_dim)``, so 1 (the paper)
            needs tens of thousands of steps.
    """

    rank: int = 5
    divisor: int = 4
    scale: float = 1.0
    kind: ClassVar[str] = "affine_lora"

    def __post_init__(self) -> None:
        need_number("affine_lora.rank", self.rank, 1, 512)
        need_number("affine_lora.divisor", self.divisor, 0)
        need_number("affine_lora.scale", self.scale, 1e-3)

    def build(self, generator: Generator, *, random: torch.Generator) -> Overrides:
        low_rank = LowRankAffine(generator, rank=self.rank, scale=self.scale, random=random)
        if self.divisor == 0:
            return low_rank
        return Chain([low_rank, BlockOffset(generator, _side(generator, self.divisor))])


@dataclass(frozen=True)
class StyleOffset(Trainable):
    """One vector added to the output of each style affine (StyleDomain's StyleSpace).

    Attributes:
        gain: the vector is this times what is trained, so its learning rate is multiplied by it.
    """

    gain: float = 1.0
    kind: ClassVar[str] = "style_offset"

    def __post_init__(self) -> None:
        need_number("style_offset.gain", self.gain, 1e-3, 1e3)

    def build(self, generator: Generator, *, random: torch.Generator) -> Overrides:
        return StyleOffsets(generator, gain=self.gain)


@dataclass(frozen=True)
class WOffset(Trainable):
    """One vector added to w before each style affine (WeditGAN, Duan et al., AAAI 2024).

    Attributes:
        shared: one vector for all layers (GenDA, Yang et al. 2021).
        scaled: also train a factor per dimension, ``w' = scale * w + offset`` (GenDA).
        gain: the offset is this times what is trained, so its learning rate is multiplied by it.
    """

    shared: bool = False
    scaled: bool = False
    gain: float = 1.0
    kind: ClassVar[str] = "w_offset"

    def __post_init__(self) -> None:
        need_number("w_offset.gain", self.gain, 1e-3, 1e3)

    def build(self, generator: Generator, *, random: torch.Generator) -> Overrides:
        return StyleVectorMap(generator, shared=self.shared, scaled=self.scaled, gain=self.gain)


@dataclass(frozen=True)
class FisherMask(Trainable):
    """Blocks from 8 px up, each filter tuned, frozen or pruned by its Fisher information (RICK, Zhao et al. 2023).

    The 4x4 block, the mapping network and the RGB layers stay. The discriminator's filters are treated alike.

    Attributes:
        freeze: filters with a score above this percentile keep their value until the next estimate.
        prune: filters with a score up to this percentile are set to zero for good; 0.1 is one filter in a thousand.
        every: steps between estimates.
        samples: single samples an estimate is made of.
        divisor: restrict it to the block of side ``resolution / divisor``; 0 for all blocks.
    """

    freeze: float = 75.0
    prune: float = 0.1
    every: int = 50
    samples: int = 10
    divisor: int = 0
    kind: ClassVar[str] = "fisher_mask"

    def __post_init__(self) -> None:
        need_number("fisher_mask.freeze", self.freeze, 0, 100)
        need_number("fisher_mask.prune", self.prune, 0, 100)
        need(
            self.prune < self.freeze,
            f"fisher_mask.prune must be below freeze, got {self.prune} and {self.freeze}.",
        )
        need_number("fisher_mask.every", self.every, 1)
        need_number("fisher_mask.samples", self.samples, 1)
        need_number("fisher_mask.divisor", self.divisor, 0)

    def names(self, generator: Generator) -> Iterable[str]:
        sides = generator.synthesis.sides[1:] if self.divisor == 0 else [_side(generator, self.divisor)]
        free = tuple(f"synthesis.b{side}.conv" for side in sides)
        return _in_use(generator, free)

    def controller(self, context: MaskContext) -> FilterMasks | None:
        return FilterMasks(context, freeze=self.freeze, prune=self.prune, every=self.every, samples=self.samples)


def _side(generator: Generator, divisor: int) -> int:
    side = max(generator.resolution // divisor, 4)
    need(
        side in generator.synthesis.sides,
        f"divisor={divisor} asks for a block of {side} px, but a {generator.resolution} px generator has "
        f"{', '.join(map(str, generator.synthesis.sides))}.",
    )
    return side


def _in_use(generator: Generator, below: tuple[str, ...] = ("",)) -> list[str]:
    """Names of the parameters below some modules, without strengths of noise that the source does not use."""
    named = generator.named_parameters()
    return [name for name, value in named if name.startswith(below) and not _is_unused_noise(name, value)]


def _is_unused_noise(name: str, value: torch.Tensor) -> bool:
    return name.endswith("noise_strength") and not bool(value.detach().any())


TRAINABLES: dict[str, type[Trainable]] = {
    part.kind: part for part in (Full, FreezeLowres, Affine, AffinePlus, AffineLora, StyleOffset, WOffset, FisherMask)
}
