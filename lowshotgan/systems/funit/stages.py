"""Training FUNIT as one stage of the loop (Liu et al., ICCV 2019, section 3 and release).

discriminator (hinge on exemplars and translations, gradient penalty) -> generator (hinge, reconstruction, features)
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lowshotgan.losses.adversarial import hinge_discriminator, hinge_generator
from lowshotgan.losses.penalties import r1, r1_of_batch_mean
from lowshotgan.losses.reconstruction import absolute_difference, pooled_feature_difference
from lowshotgan.nets.funit import Discriminator, Generator
from lowshotgan.systems.averages import half_life
from lowshotgan.systems.funit.config import FUNITTraining
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage


def source_stage(
    generator: Generator,
    averaged: Generator,
    discriminator: Discriminator,
    batches: Batches,
    training: FUNITTraining,
    *,
    preview: Callable[[], Tensor] | None = None,
) -> Stage:
    """One stage that trains ``generator`` and ``discriminator``; ``averaged`` becomes the model to keep."""
    losses = FUNITLosses(generator, discriminator, training)
    judge = {"adversarial": training.adversarial_weight, "penalty": training.penalty_strength}
    draw = {
        "adversarial": training.adversarial_weight,
        "reconstruction": training.reconstruction_weight,
        "matching": training.matching_weight,
    }
    return Stage(
        name="source",
        steps=training.steps,
        batches=batches,
        groups={"generator": _group(generator, training), "discriminator": _group(discriminator, training)},
        phases=[
            Phase("discriminator", "discriminator", losses.discriminator_terms, judge),
            Phase("generator", "generator", losses.generator_terms, draw),
        ],
        modules={"generator": generator, "discriminator": discriminator},
        averages={"generator": (generator, averaged)},
        ema_half_life=half_life(training.ema_decay),
        ema_rampup=training.ema_rampup,
        preview=preview,
    )


class FUNITLosses:
    """The loss terms of one step; each method maps a batch of episodes to named ``(B,)`` values."""

    def __init__(self, generator: Generator, discriminator: Discriminator, training: FUNITTraining) -> None:
        self.generator, self.discriminator = generator, discriminator
        self._penalty = r1 if training.penalty == "per_sample" else r1_of_batch_mean

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Exemplars are real and translations false, each as the exemplar's class; neither content nor reconstructions
        are shown. ``right_*`` are shares of patches judged rightly, for the log."""
        content, exemplars, labels = (batch.images[key] for key in ("content", "exemplars", "exemplar_labels"))
        with torch.no_grad():
            translated = self.generator(content, self.generator.encode(exemplars))
        fake, _ = self.discriminator(translated, labels)
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

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Translations should pass as their exemplar's class and reconstructions as the content's; reconstructions
        should be the content; both should have the mean features of the image whose code drew them."""
        content, exemplars = batch.images["content"], batch.images["exemplars"]
        labels = torch.cat([batch.images["exemplar_labels"], batch.images["content_labels"]])
        styles = torch.cat([exemplars, content])
        layout = self.generator.content_encoder(content)
        drawn = self.generator.decode(torch.cat([layout, layout]), self.generator.encode(styles))
        logits, features = self.discriminator(drawn, labels)
        with torch.no_grad():
            wanted = self.discriminator.features(styles)
        return {
            "adversarial": 0.5 * _both(hinge_generator(logits)),
            "reconstruction": absolute_difference(drawn[len(content) :], content),
            "matching": _both(pooled_feature_difference(features, wanted)),
        }


def _both(values: Tensor) -> Tensor:
    """Sum of the values of translations and reconstructions, ``(2B,) -> (B,)``."""
    translated, reconstructed = values.chunk(2)
    return translated + reconstructed


def _share(hits: Tensor) -> Tensor:
    return hits.float().flatten(1).mean(dim=1)


def _group(network: Generator | Discriminator, training: FUNITTraining) -> ParamGroup:
    return ParamGroup(
        list(network.parameters()),
        lr=training.lr,
        optimizer="rmsprop",
        weight_decay=training.weight_decay,
        warm_up=training.warm_up,
    )
