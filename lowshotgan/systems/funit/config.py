"""Configuration of FUNIT and of its training."""

from dataclasses import dataclass

from lowshotgan.checks import given, not_negative, one_of, positive
from lowshotgan.errors import ConfigError
from lowshotgan.systems.class_training import ClassTraining

PENALTIES = {"per_sample": 0.15625, "official": 10.0}
"""How the gradient penalty counts -> its weight in the release. The release runs 8 images on each of 8 GPUs, where
``official`` equals ``per_sample`` with 10 / 64."""


@dataclass(frozen=True)
class FUNITConfig:
    """Constructor arguments of the networks; see ``nets.funit``. Defaults are those of the release.

    Attributes:
        resolution: side of the images; a multiple of 2 to the power of ``content_downs``.
        width: channels of the first layers of the generator.
        content_downs: halvings in the content encoder.
        class_downs: halvings in the class encoder.
        res_blocks: residual blocks in content encoder and decoder.
        code_dim: values in a class code.
        mlp_width: hidden values of the MLP.
        mlp_layers: linear layers of the MLP.
        num_classes: training classes; set from the data when a training begins.
        discriminator_width: channels of the discriminator's first layer.
        discriminator_blocks: its residual blocks, an even number.
        discriminator_cap: its most channels.
        dialect: "official" (what the release computes) or "clean".
    """

    resolution: int = 128
    width: int = 64
    content_downs: int = 3
    class_downs: int = 4
    res_blocks: int = 2
    code_dim: int = 64
    mlp_width: int = 256
    mlp_layers: int = 3
    num_classes: int = 119
    discriminator_width: int = 64
    discriminator_blocks: int = 10
    discriminator_cap: int = 1024
    dialect: str = "official"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "dialect":
                positive(name, value)
        one_of("dialect", self.dialect, ("official", "clean"))
        if self.discriminator_blocks % 2:
            raise ConfigError(f"discriminator_blocks must be even, got {self.discriminator_blocks}.")
        least = max(self.least_side, 2 ** (self.discriminator_blocks // 2))
        if self.resolution % 2**self.content_downs or self.resolution < least:
            raise ConfigError(
                f"resolution must be a multiple of {2**self.content_downs} and at least {least} for these networks, "
                f"got {self.resolution}."
            )

    @property
    def least_side(self) -> int:
        """The least height and width that the generator takes: layouts are padded by reflection."""
        return int(max(2 ** (self.content_downs + 1), 2**self.class_downs))


@dataclass(frozen=True)
class FUNITTraining(ClassTraining):
    """How FUNIT is trained on many classes (Liu et al. 2019, section 3 and release), besides ``ClassTraining``.

    Attributes:
        weight_decay: added to gradients; the sum over 8 GPUs in the release makes it 8 times weaker there.
        warm_up: steps over which the learning rate of RMSprop rises; 0 in the release, whose first steps are violent.
        penalty: how the discriminator's gradient counts: "per_sample", or "official", which depends on the batch.
        penalty_weight: of that penalty; the release's for its kind if left out.
        ema_rampup: half-life of the average as a share of the steps done, while that is shorter.
    """

    weight_decay: float = 1e-4
    warm_up: int = 0
    penalty: str = "per_sample"
    penalty_weight: float | None = None
    ema_rampup: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        not_negative(self, "weight_decay", "warm_up")
        one_of("penalty", self.penalty, PENALTIES)
        not_negative(self, *given(penalty_weight=self.penalty_weight, ema_rampup=self.ema_rampup))

    @property
    def penalty_strength(self) -> float:
        """The weight of the gradient penalty."""
        return PENALTIES[self.penalty] if self.penalty_weight is None else self.penalty_weight
