"""The terms FUNIT is trained by (Liu et al., ICCV 2019, section 3 and release).

discriminator (hinge on exemplars and translations, gradient penalty) -> generator (hinge, reconstruction, features)
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lowshotgan.losses.adversarial import hinge_discriminator
from lowshotgan.losses.penalties import r1, r1_of_batch_mean
from lowshotgan.nets.translation import ClassDiscriminator
from lowshotgan.systems.class_training import ClassLosses
from lowshotgan.systems.funit.config import FUNITTraining
from lowshotgan.types import Batch


class FUNITLosses(ClassLosses):
    """The loss terms of one step; reconstructions are matched too, and the discriminator's gradient is penalised."""

    def __init__(self, generator: Any, discriminator: ClassDiscriminator, training: FUNITTraining) -> None:
        super().__init__(generator, discriminator, match_own=True)
        self._penalty = r1 if training.penalty == "per_sample" else r1_of_batch_mean

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Exemplars are real and translations false, each as the exemplar's class; neither content nor reconstructions
        are shown. ``right_*`` are shares of patches judged rightly, for the log."""
        exemplars, labels = batch.images["exemplars"], batch.images["exemplar_labels"]
        fake, _ = self.discriminator(self.translated(batch), labels)
        seen: list[Tensor] = []

        def judge_real(images: Tensor) -> Tensor:
            seen.append(self.discriminator(images, labels)[0])
            return seen[0]

        with torch.autocast(exemplars.device.type, enabled=False):  # one float32 pass serves hinge and penalty
            penalty = self._penalty(judge_real, exemplars)
        (real,) = seen
        return {
            "adversarial": hinge_discriminator(real, fake),
            "penalty": penalty,
            "right_real": _share(real >= 0),
            "right_fake": _share(fake < 0),
        }


def _share(hits: Tensor) -> Tensor:
    return hits.float().flatten(1).mean(dim=1)
