"""Configuration of KG-GAN for recolouring a region, and of its training."""

from dataclasses import dataclass

from lowshotgan.checks import not_negative, one_of, positive, power_of_two
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
        cell: side in pixels of the square cells in which T and M read the image; 2 costs about a quarter of 1, and the
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

    Attributes:
        steps: of the discriminator and of the generators.
        batch_size: images per step over all processes.
        preset: "default", or "claims" for exactly the terms of the published claims: the colour is compared on the
            foreground only and the discriminator's step also rates the category of generated images.
        lr: Adam's learning rate of all networks, betas (0.5, 0.999).
        discriminator_lr: of the discriminator alone, where it should differ; 0 for ``lr``.
        category_weight: of the category terms.
        fake_category_weight: in the discriminator's step, relative to the category term of real images.
        colour_weight: of the comparison of the region's colour with the target.
        cycle_weight: of the way back to the input, before and after the ramp.
        area_weight: of the mask's area after the ramp; nothing before.
        indecision_weight: of mask values that are neither 0 nor 1, after the ramp.
        coherence_weight: of the variance of the input's colours inside the mask, after the ramp; no part of the paper. It
            helps where the region has one colour, as in drawings; 0 (none) by default.
        range_weight: of colours outside [-1, 1].
        accuracy: category accuracy of generated images from which the ramp starts.
        shift: largest shift of what the discriminator sees, as a share of the side.
        flip: mirror images at random.
        ema_half_life: of the averaged networks, in steps.
    """

    steps: int = 3_000
    batch_size: int = 16
    preset: str = "default"
    lr: float = 4e-4
    discriminator_lr: float = 0.0
    category_weight: float = 3.0
    fake_category_weight: float = 0.0
    colour_weight: float = 10.0
    cycle_weight: tuple[float, float] = (3.0, 8.0)
    area_weight: float = 0.02
    indecision_weight: float = 0.4
    coherence_weight: float = 0.0
    range_weight: float = 3.0
    accuracy: float = 0.8
    shift: float = 0.1
    flip: bool = True
    ema_half_life: float = 100.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "cycle_weight", tuple(self.cycle_weight))
        for name in ("steps", "batch_size", "lr", "ema_half_life"):
            positive(name, getattr(self, name))
        not_negative(
            self,
            "discriminator_lr",
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
        if not 0 <= self.accuracy <= 1 or not 0 <= self.shift <= 0.5 or self.range_weight < 0:
            raise ConfigError("accuracy must be in [0, 1], shift in [0, 0.5] and range_weight 0 or more.")
        one_of("preset", self.preset, ("default", "claims"))
        if self.preset == "claims" and not self.fake_category_weight:
            object.__setattr__(self, "fake_category_weight", 0.1)

    @property
    def foreground_share(self) -> float:
        """Share of the colour comparison taken on the foreground, the rest on the composed image."""
        return 1.0 if self.preset == "claims" else 0.5
