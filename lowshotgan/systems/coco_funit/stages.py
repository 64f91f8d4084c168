"""Training COCO-FUNIT as one stage of the loop (Saito et al., ECCV 2020, and release).

discriminator (hinge on exemplars and translations) -> generator (hinge, reconstruction, features of translations)
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lowshotgan.losses.adversarial import hinge_discriminator, hinge_generator
from lowshotgan.losses.reconstruction import absolute_difference, pooled_feature_difference
from lowshotgan.nets.coco_funit import Discriminator, Generator
from lowshotgan.systems.averages import half_life
from lowshotgan.systems.coco_funit.config import CocoFUNITTraining
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage


def source_stage(
    generator: Generator,
    averaged: Generator,
    discriminator: Discriminator,
    batches: Batches,
    training: CocoFUNITTraining,
    *,
    preview: Callable[[], Tensor] | None = None,
) -> Stage:
    """One stage that trains ``generator`` and ``discriminator``; ``averaged`` becomes the model to keep."""
    losses = CocoFUNITLosses(generator, discriminator)
    weights = {
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
            Phase("discriminator", "discriminator", losses.discriminator_terms, weights),
            Phase("generator", "generator", losses.generator_terms, weights),
        ],
        modules={"generator": generator, "discriminator": discriminator},
        averages={"generator": (generator, averaged)},
        ema_half_life=half_life(training.ema_decay),
        ema_start=training.ema_start,
        preview=preview,
    )


class CocoFUNITLosses:
    """The loss terms of one step; each method maps a batch of episodes to named ``(B,)`` values."""

    def __init__(self, generator: Generator, discriminator: Discriminator) -> None:
        self.generator, self.discriminator = generator, discriminator

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Exemplars are real and translations false, each as the exemplar's class."""
        content, exemplars, labels = (batch.images[key] for key in ("content", "exemplars", "exemplar_labels"))
        with torch.no_grad():
            translated = self.generator(content, self.generator.encode(exemplars))
        logits, _ = self.discriminator(torch.cat([exemplars, translated]), torch.cat([labels, labels]))
        real, fake = logits.chunk(2)
        return {"adversarial": hinge_discriminator(real, fake)}

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Translations should pass as their exemplar's class and have its mean features; reconstructions should pass as
        the content's class and be the content."""
        content, exemplars = batch.images["content"], batch.images["exemplars"]
        labels = torch.cat([batch.images["exemplar_labels"], batch.images["content_labels"]])
        layout = self.generator.content_encoder(content)
        codes = self.generator.encode(torch.cat([exemplars, content]))
        drawn = self.generator.decode(torch.cat([layout, layout]), codes)
        logits, features = self.discriminator(drawn, labels)
        with torch.no_grad():
            wanted = self.discriminator.features(exemplars)
        translated, rebuilt = hinge_generator(logits).chunk(2)
        return {
            "adversarial": 0.5 * (translated + rebuilt),
            "reconstruction": absolute_difference(drawn[len(content) :], content),
            "matching": pooled_feature_difference(features[: len(content)], wanted),
        }


def _group(network: Generator | Discriminator, training: CocoFUNITTraining) -> ParamGroup:
    return ParamGroup(list(network.parameters()), lr=training.lr, betas=(0.0, 0.999), rate=training.rate)
