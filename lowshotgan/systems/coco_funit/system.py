"""COCO-FUNIT as a system: FUNIT whose style depends on the content, so that the exemplar's pose stays behind.

Saito et al., "COCO-FUNIT: Few-Shot Unsupervised Image Translation with a Content Conditioned Style Encoder", ECCV 2020.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from lowshotgan.nets.coco_funit import Discriminator, Generator
from lowshotgan.systems.class_training import ClassNets, source_stage
from lowshotgan.systems.class_translation import ClassTranslator
from lowshotgan.systems.coco_funit.config import CocoFUNITConfig, CocoFUNITTraining
from lowshotgan.systems.coco_funit.stages import CocoFUNITLosses
from lowshotgan.types import Batches, Stage


class CocoFUNIT(ClassTranslator):
    """A generator that takes layout from content and appearance from exemplars, with its discriminator.

    A class code is the mean code of the exemplars; the rest of the style is computed for each content anew.

    Attributes:
        generator: the averaged generator.
        discriminator: its discriminator, or ``None`` if the weights came without one.
    """

    system = "coco_funit"
    Config = CocoFUNITConfig
    Training = CocoFUNITTraining
    per_class = "embedding."
    margin = 270 / 256
    generator: Generator
    discriminator: Discriminator | None

    def __init__(self, config: CocoFUNITConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = Generator(
            width=config.width,
            content_downs=config.content_downs,
            class_downs=config.class_downs,
            res_blocks=config.res_blocks,
            code_dim=config.code_dim,
            mlp_width=config.mlp_width,
            bias_dim=config.bias_dim,
            content_aware=config.content_aware,
        )
        self.discriminator = self.make_discriminator()

    def make_discriminator(self) -> Discriminator:
        """An untrained discriminator for ``config.num_classes``."""
        return Discriminator(
            self.config.num_classes,
            width=self.config.discriminator_width,
            stages=self.config.discriminator_stages,
            cap=self.config.discriminator_cap,
        )

    def source_stage(self, nets: ClassNets, batches: Batches, training: Any, preview: Callable[[], Tensor]) -> Stage:
        """The stage that trains generator and discriminator."""
        return source_stage(
            nets,
            CocoFUNITLosses(nets.live, nets.discriminator),
            batches,
            training,
            {"betas": (0.0, 0.999), "rate": training.rate},
            preview=preview,
            ema_start=training.ema_start,
        )
