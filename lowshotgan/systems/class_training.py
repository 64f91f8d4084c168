"""What the trainings of FUNIT and COCO-FUNIT share: settings, a head start, and the stage of judge and generator.

head start (generator alone, redraws images of mixed-up colours by their siblings' code) -> source (hinge, features, L1)
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lowshotgan.checks import not_negative, one_of, positive
from lowshotgan.data.episodes import SAMPLINGS
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.losses.adversarial import hinge_generator
from lowshotgan.losses.reconstruction import absolute_difference, pooled_feature_difference
from lowshotgan.nets.translation import ClassDiscriminator
from lowshotgan.systems.averages import half_life
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage, Weight

MIXINGS = ("positive", "signed")


@dataclass(frozen=True)
class ClassTraining:
    """How a translator is trained on many classes; defaults are those of the releases.

    Attributes:
        steps: optimiser steps of the discriminator and of the generator.
        batch_size: content images per step over all processes, and as many exemplars.
        lr: learning rate of both networks.
        adversarial_weight: of the hinge losses.
        reconstruction_weight: of the difference between a content image and its own reconstruction; more keeps more of
            the content and takes less of the class.
        matching_weight: of the matched features.
        ema_decay: of the averaged generator.
        sampling: "images" (the release) or "classes", every class equally often; see ``Episodes``.
        flip: mirror images at random.
        head_start: steps before, in which the generator alone learns to redraw images whose colours are mixed up by the
            code of another image of their class. Not in the papers; on small budgets most is learned there.
        head_start_lr: Adam's learning rate in these steps.
        head_start_mixing: "positive" mixes channels with weights above zero, so that what was dark stays darker; "signed"
            with any, which also inverts images: of things whose shape shows either way, not of faces.
    """

    steps: int = 100_000
    batch_size: int = 64
    lr: float = 1e-4
    adversarial_weight: float = 1.0
    reconstruction_weight: float = 0.1
    matching_weight: float = 1.0
    ema_decay: float = 0.999
    sampling: str = "images"
    flip: bool = True
    head_start: int = 0
    head_start_lr: float = 1e-3
    head_start_mixing: str = "positive"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "lr", "head_start_lr"):
            positive(name, getattr(self, name))
        not_negative(self, "adversarial_weight", "reconstruction_weight", "matching_weight", "head_start")
        if not 0 < self.ema_decay < 1:
            raise ConfigError(f"ema_decay must lie between 0 and 1, got {self.ema_decay!r}.")
        one_of("sampling", self.sampling, SAMPLINGS)
        one_of("head_start_mixing", self.head_start_mixing, MIXINGS)


class ClassNets(NamedTuple):
    """The networks of a training: the generator that learns, its average, which is kept, and the discriminator."""

    live: Any
    averaged: nn.Module
    discriminator: ClassDiscriminator


class ClassLosses:
    """The loss terms of one step; each method maps a batch of episodes to named ``(B,)`` values.

    Args:
        generator: answers ``encode``, ``content_encoder`` and ``decode``.
        discriminator: judges images by class.
        match_own: whether reconstructions should have the mean features of their content too (FUNIT).
    """

    def __init__(self, generator: Any, discriminator: ClassDiscriminator, *, match_own: bool) -> None:
        self.generator, self.discriminator, self.match_own = generator, discriminator, match_own

    @abstractmethod
    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Exemplars are real and translations false, each as the exemplar's class."""

    @torch.no_grad()
    def translated(self, batch: Batch) -> Tensor:
        """The translations that the discriminator is shown."""
        images: Tensor = self.generator(batch.images["content"], self.generator.encode(batch.images["exemplars"]))
        return images

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Translations should pass as their exemplar's class and reconstructions as the content's; reconstructions
        should be the content; what is matched should have the mean features of the image whose code drew it."""
        content, exemplars = batch.images["content"], batch.images["exemplars"]
        labels = torch.cat([batch.images["exemplar_labels"], batch.images["content_labels"]])
        styles = torch.cat([exemplars, content])
        layout = self.generator.content_encoder(content)
        drawn = self.generator.decode(torch.cat([layout, layout]), self.generator.encode(styles))
        logits, features = self.discriminator(drawn, labels)
        matched = len(styles) if self.match_own else len(exemplars)
        with torch.no_grad():
            wanted = self.discriminator.features(styles[:matched])
        return {
            "adversarial": 0.5 * _summed(hinge_generator(logits), len(content)),
            "reconstruction": absolute_difference(drawn[len(content) :], content),
            "matching": _summed(pooled_feature_difference(features[:matched], wanted), len(content)),
        }


def source_stage(
    nets: ClassNets,
    losses: ClassLosses,
    batches: Batches,
    training: ClassTraining,
    group: Mapping[str, Any],
    *,
    preview: Callable[[], Tensor] | None = None,
    judge_weights: Mapping[str, Weight] | None = None,
    **averaging: Any,
) -> Stage:
    """One stage that trains generator and discriminator, one step each; the average becomes the model to keep.

    Args:
        nets: what is trained and kept.
        losses: their terms.
        batches: of episodes.
        training: settings.
        group: those of the optimisers (see ``ParamGroup``).
        preview: see ``Stage``.
        judge_weights: of the discriminator's terms besides the adversarial one.
        averaging: how the average moves besides its decay (see ``Stage``).
    """
    adversarial = {"adversarial": training.adversarial_weight}
    drawing = {"reconstruction": training.reconstruction_weight, "matching": training.matching_weight}
    trained = {"generator": nets.live, "discriminator": nets.discriminator}
    return Stage(
        name="source",
        steps=training.steps,
        batches=batches,
        groups={name: ParamGroup(list(net.parameters()), lr=training.lr, **group) for name, net in trained.items()},
        phases=[
            Phase("discriminator", "discriminator", losses.discriminator_terms, {**adversarial, **(judge_weights or {})}),
            Phase("generator", "generator", losses.generator_terms, {**adversarial, **drawing}),
        ],
        modules=trained,
        averages={"generator": (nets.live, nets.averaged)},
        ema_half_life=half_life(training.ema_decay),
        preview=preview,
        **averaging,
    )  # fmt: skip


def head_start_stage(
    nets: ClassNets, batches: Batches, training: ClassTraining, *, preview: Callable[[], Tensor] | None = None
) -> Stage:
    """One stage in which the generator alone learns that layout comes from the content and colours from the class.

    The batches must be of siblings (see ``Episodes``).
    """

    def terms(batch: Batch) -> Mapping[str, Tensor]:
        content = batch.images["content"]
        codes = nets.live.encode(batch.images["exemplars"])
        redrawn = nets.live(colours_mixed(content, batch.draws, training.head_start_mixing), codes)
        return {"reconstruction": absolute_difference(redrawn, content)}

    return Stage(
        name="head-start",
        steps=training.head_start,
        batches=batches,
        groups={
            "generator": ParamGroup(
                list(nets.live.parameters()), lr=training.head_start_lr, betas=(0.9, 0.99), decay=0.3, warm_up=50
            )
        },
        phases=[Phase("generator", "generator", terms, {"reconstruction": 1.0})],
        modules={"generator": nets.live},
        averages={"generator": (nets.live, nets.averaged)},
        ema_half_life=half_life(training.ema_decay),
        ema_rampup=0.1,
        preview=preview,
    )


def colours_mixed(images: Tensor, draws: Draws, mixing: str) -> Tensor:
    """Each of the images ``(B, 3, H, W)`` in [-1, 1] with its channels mixed by a random matrix, in [-1, 1] again."""
    matrices = draws.normal(len(images), 3, 3)
    matrices = matrices.abs() if mixing == "positive" else matrices
    matrices = matrices / matrices.abs().sum(dim=2, keepdim=True)
    return torch.einsum("bij,bjhw->bihw", matrices.to(images), images)


def _summed(values: Tensor, count: int) -> Tensor:
    """Sum of the values of translations and, where there are any, of reconstructions, ``(count,)``."""
    return values.view(-1, count).sum(dim=0)
