"""The terms COCO-FUNIT is trained by (Saito et al., ECCV 2020, and release).

discriminator (hinge on exemplars and translations) -> generator (hinge, reconstruction, features of translations)
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lowshotgan.losses.adversarial import hinge_discriminator
from lowshotgan.nets.translation import ClassDiscriminator
from lowshotgan.systems.class_training import ClassLosses
from lowshotgan.types import Batch


class CocoFUNITLosses(ClassLosses):
    """The loss terms of one step; only translations are matched."""

    def __init__(self, generator: Any, discriminator: ClassDiscriminator) -> None:
        super().__init__(generator, discriminator, match_own=False)

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Exemplars are real and translations false, each as the exemplar's class."""
        exemplars, labels = batch.images["exemplars"], batch.images["exemplar_labels"]
        shown = torch.cat([exemplars, self.translated(batch)])
        logits, _ = self.discriminator(shown, torch.cat([labels, labels]))
        real, fake = logits.chunk(2)
        return {"adversarial": hinge_discriminator(real, fake)}
