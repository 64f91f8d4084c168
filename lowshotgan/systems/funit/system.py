"""FUNIT as a system: translate images into a class shown by a few exemplars, train on many classes.

Liu et al., "Few-Shot Unsupervised Image-to-Image Translation", ICCV 2019.
"""

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor

from lowshotgan.nets.funit import Dialect, Discriminator, Generator
from lowshotgan.systems.class_training import ClassNets, source_stage
from lowshotgan.systems.class_translation import ClassTranslator
from lowshotgan.systems.funit.config import FUNITConfig, FUNITTraining
from lowshotgan.systems.funit.stages import FUNITLosses
from lowshotgan.types import Batches, Stage


class FUNIT(ClassTranslator):
    """A generator that takes layout from content and appearance from exemplars, with its discriminator.

    Attributes:
        generator: the averaged generator.
        discriminator: its discriminator, or ``None`` if the weights came without one.
    """

    system = "funit"
    Config = FUNITConfig
    Training = FUNITTraining
    per_class = "head."
    generator: Generator
    discriminator: Discriminator | None

    def __init__(self, config: FUNITConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = Generator(
            width=config.width,
            content_downs=config.content_downs,
            class_downs=config.class_downs,
            res_blocks=config.res_blocks,
            code_dim=config.code_dim,
            mlp_width=config.mlp_width,
            mlp_layers=config.mlp_layers,
        )
        self.discriminator = self.make_discriminator()

    def make_discriminator(self) -> Discriminator:
        """An untrained discriminator for ``config.num_classes``."""
        return Discriminator(
            self.config.num_classes,
            width=self.config.discriminator_width,
            res_blocks=self.config.discriminator_blocks,
            cap=self.config.discriminator_cap,
            dialect=cast(Dialect, self.config.dialect),
        )

    def source_stage(self, nets: ClassNets, batches: Batches, training: Any, preview: Callable[[], Tensor]) -> Stage:
        """The stage that trains generator and discriminator."""
        optimiser = {"optimizer": "rmsprop", "weight_decay": training.weight_decay, "warm_up": training.warm_up}
        return source_stage(
            nets,
            FUNITLosses(nets.live, nets.discriminator, training),
            batches,
            training,
            optimiser,
            preview=preview,
            judge_weights={"penalty": training.penalty_strength},
            ema_rampup=training.ema_rampup,
        )
