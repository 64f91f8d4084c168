"""Configuration of COCO-FUNIT and of its training."""

from dataclasses import dataclass

from lowshotgan.checks import not_negative, positive
from lowshotgan.errors import ConfigError
from lowshotgan.systems.class_training import ClassTraining


@dataclass(frozen=True)
class CocoFUNITConfig:
    """Constructor arguments of the networks; see ``nets.coco_funit``. Defaults are those of the release.

    Attributes:
        resolution: side of the images; a multiple of 2 to the power of ``content_downs``.
        width: channels of the first layers of the generator.
        content_downs: halvings in the content encoder.
        class_downs: halvings in the style encoder.
        res_blocks: residual blocks in content encoder and decoder.
        code_dim: values in a class code.
        mlp_width: values of a style.
        bias_dim: values of the constant style bias; 0 for none.
        content_aware: whether the style depends on the content.
        num_classes: training classes; set from the data when a training begins.
        discriminator_width: channels of the discriminator's first layer.
        discriminator_stages: its pairs of residual blocks.
        discriminator_cap: its most channels.
    """

    resolution: int = 256
    width: int = 64
    content_downs: int = 4
    class_downs: int = 5
    res_blocks: int = 2
    code_dim: int = 64
    mlp_width: int = 256
    bias_dim: int = 1024
    content_aware: bool = True
    num_classes: int = 119
    discriminator_width: int = 64
    discriminator_stages: int = 6
    discriminator_cap: int = 1024

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name == "bias_dim" else 1
            if name != "content_aware" and value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value!r}.")
        least = max(self.least_side, 2**self.discriminator_stages)
        if self.resolution % 2**self.content_downs or self.resolution < least:
            raise ConfigError(
                f"resolution must be a multiple of {2**self.content_downs} and at least {least} for these networks, "
                f"got {self.resolution}."
            )

    @property
    def least_side(self) -> int:
        """The least height and width that the generator takes: layouts are padded by reflection, by 2 on each side."""
        return int(max(3 * 2**self.content_downs, 2**self.class_downs))


@dataclass(frozen=True)
class CocoFUNITTraining(ClassTraining):
    """How COCO-FUNIT is trained on many classes (Saito et al. 2020 and release), besides ``ClassTraining``.

    Attributes:
        halve_every: steps after which the learning rate of Adam, betas (0, 0.999), is halved, again and again.
        ema_start: steps during which the average is a plain copy.
    """

    steps: int = 150_000
    halve_every: int = 100_000
    ema_start: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("halve_every", self.halve_every)
        not_negative(self, "ema_start")

    def rate(self, progress: float) -> float:
        """The share of the learning rate that is left after ``progress`` of the steps."""
        return 0.5 ** int(progress * self.steps / self.halve_every)
