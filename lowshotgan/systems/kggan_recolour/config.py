"""Configuration of KG-GAN for recolouring a region, and of its training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowshotgan.checks import not_negative, positive, power_of_two, within
from lowshotgan.errors import ConfigError


@dataclass(frozen=True)
class RecolourConfig:
    """Constructor arguments of the networks.

    Attributes:
        resolution: side of the images.
        categories: names of the colours with images; targets may be any colour.
        transform_width: channels of the first layer of T1 and T2; the others have twice as many.
        hidden: channels between two generated 1 x 1 layers; 0 for one layer, which is an affine change of colour.
        mask_width: channels of the mask network at full resolution.
        discriminator_width: channels of the discriminator's first layer.
        hard: whether generated images use the mask cut at one half.
        cell: side in pixels of the square cells in which T and M read the image; larger ones cost less, and the
            mask still has a value for every pixel.
        discriminator_cell: the same for D.
    """

    resolution: int = 64
    categories: tuple[str, ...] = ("black", "brown", "blond")
    transform_width: int = 20
    hidden: int = 0
    mask_width: int = 16
    discriminator_width: int = 24
    hard: bool = False
    cell: int = 1
    discriminator_cell: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))
        power_of_two("resolution", self.resolution, low=16, high=512)
        for name in ("cell", "discriminator_cell"):
            power_of_two(name, getattr(self, name), low=1, high=self.resolution // 16)
        for name in ("transform_width", "mask_width", "discriminator_width"):
            positive(name, getattr(self, name))
        if len(set(self.categories)) != len(self.categories) or len(self.categories) < 2:
            raise ConfigError(f"categories must be two or more different names, got {list(self.categories)}.")
        if 0 < self.hidden < 6 or self.hidden < 0:
            raise ConfigError(
                f"hidden must be 0, or 6 and more so that it can start as identity; got {self.hidden!r}."
            )


@dataclass(frozen=True)
class RecolourTraining:
    """How the recolouring is trained.

    ``preset="claims"`` has the terms of the published claims 8 to 16 and no others, but for two categories' errors without
    which nothing is learnt: of real images in the discriminator's step, and of generated ones in the generators'.

    Attributes:
        steps: of the discriminator and of the generators.
        batch_size: images per step over all processes.
        lr: Adam's learning rate of all networks, betas (0.5, 0.999).
        discriminator_lr: of the discriminator alone, where it should differ; 0 for ``lr``.
        adversarial_weight: of what the discriminator says of images in a seen category.
        category_weight: of the category terms.
        fake_category_weight: in the discriminator's step, relative to the category term of real images.
        colour_weight: of the comparison of the region's colour with the target.
        foreground_share: share of that comparison taken on the foreground, the rest on the composed image.
        cycle_weight: of the way back to the input from an unseen colour, before and after the ramp.
        seen_cycle: of the way back from a seen category, relative to ``cycle_weight``.
        area_weight: of the mask's area after the ramp; nothing before.
        indecision_weight: of mask values that are neither 0 nor 1, after the ramp.
        coherence_weight: of the variance of the input's colours inside the mask, after the ramp; for regions of one colour,
            as in drawings. No part of the paper; 0 (none) by default.
        range_weight: of colours outside [-1, 1].
        accuracy: category accuracy of generated images from which the ramp starts.
        shift: largest shift of what the discriminator sees, as a share of the side.
        flip: mirror images at random.
        ema_half_life: of the averaged networks, in steps.
    """

    steps: int = 3_000
    batch_size: int = 16
    lr: float = 4e-4
    discriminator_lr: float = 0.0
    adversarial_weight: float = 1.0
    category_weight: float = 3.0
    fake_category_weight: float = 0.0
    colour_weight: float = 10.0
    foreground_share: float = 0.5
    cycle_weight: tuple[float, float] = (3.0, 8.0)
    seen_cycle: float = 1.0
    area_weight: float = 0.02
    indecision_weight: float = 0.4
    coherence_weight: float = 0.0
    range_weight: float = 3.0
    accuracy: float = 0.8
    shift: float = 0.1
    flip: bool = True
    ema_half_life: float = 100.0

    PRESETS: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "default": {},
        "claims": {
            "fake_category_weight": 0.1,
            "foreground_share": 1.0,
            "seen_cycle": 0.0,
            "area_weight": 0.0,
            "indecision_weight": 0.0,
            "range_weight": 0.0,
        },
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "cycle_weight", tuple(self.cycle_weight))
        for name in ("steps", "batch_size", "lr", "ema_half_life"):
            positive(name, getattr(self, name))
        not_negative(
            self,
            "discriminator_lr",
            "adversarial_weight",
            "seen_cycle",
            "range_weight",
            "category_weight",
            "fake_category_weight",
            "colour_weight",
            "area_weight",
            "coherence_weight",
            "indecision_weight",
        )
        if len(self.cycle_weight) != 2 or min(self.cycle_weight) < 0:
            raise ConfigError(
                f"cycle_weight must be two numbers, before and after the ramp, got {self.cycle_weight!r}."
            )
        for name, high in (("accuracy", 1), ("shift", 0.5), ("foreground_share", 1)):
            within(name, getattr(self, name), 0, high)


@dataclass(frozen=True)
class RecolourFineTuning(RecolourTraining):
    """How the mask network learns to find the region in K images of a new style; T1 and T2 stay as they are.

    The terms are those of training after the ramp; the discriminator learns the new style too. K images are too few to begin
    from: the region must be roughly found before.
    """

    steps: int = 300
    batch_size: int = 8
    lr: float = 2e-4
    accuracy: float = 0.0
    range_weight: float = 0.0
    ema_half_life: float = 20.0
