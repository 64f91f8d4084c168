"""Training the recolouring as one stage (claims 8 to 16 of US 11379722; settings by measurement).

    discriminator   hinge on x and G1(x, y), category of x
    generators      -D(G1), category of G1, colour of the region of G2 against c, back to x through G1, shape of the mask

D receives real images and those of G1 only: unseen colours must not be punished for being unseen.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.losses.adversarial import hinge_discriminator, hinge_generator
from lowshotgan.losses.constraints import (
    Constraints,
    RegionColorConstraint,
    constraint_terms,
    constraint_weights,
)
from lowshotgan.losses.knowledge_guided import (
    area,
    category_error,
    indecision,
    out_of_range,
    region_variance,
)
from lowshotgan.losses.reconstruction import absolute_difference
from lowshotgan.nets.shift import random_shift
from lowshotgan.systems.kggan_recolour.config import RecolourTraining
from lowshotgan.systems.kggan_recolour.networks import RecolourDiscriminator, RecolourGenerator
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage, Weight

DARKEST, BRIGHTEST = 0.05, 0.95
"""Range of target colours: black and white themselves would leave no texture to come back from."""
MEMORY = 0.98
"""Share of the old value in the running category accuracy."""


class Ramp:
    """Lets the mask find its region first: the terms that shape it wait until G1's images are taken for their category.

    From the step at which the running accuracy passes the threshold, ``share`` rises to 1 over as many steps again.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold, self.accuracy, self.share = threshold, 0.0, 0.0
        self.passed_at: int | None = None

    def on_step(self, step: int, log: dict[str, float]) -> None:
        """Take in this step's accuracy, and add the share to the log."""
        self.accuracy = MEMORY * self.accuracy + (1 - MEMORY) * log.get("generator/accuracy", 0.0)
        if self.passed_at is None and self.accuracy >= self.threshold:
            self.passed_at = step + 1
        if self.passed_at is not None:
            self.share = min(1.0, (step + 1 - self.passed_at) / self.passed_at)
        log["ramp"] = self.share

    def state_dict(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy, "share": self.share, "passed_at": self.passed_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.accuracy, self.share, self.passed_at = state["accuracy"], state["share"], state["passed_at"]


class RecolourLosses:
    """The loss terms of one step; each method maps ``{"images", "labels"}`` to named ``(B,)`` values.

    Args:
        generator: T1, T2 and M, as they are trained.
        discriminator: D.
        training: settings.
        constraints: of the user, on the images of G2.
    """

    def __init__(
        self,
        generator: RecolourGenerator,
        discriminator: RecolourDiscriminator,
        training: RecolourTraining,
        constraints: Constraints | None = None,
    ) -> None:
        self.generator, self.discriminator, self.training = generator, discriminator, training
        self.constraints, self.color = constraints or {}, RegionColorConstraint()

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Real against recoloured images, and the category of both (the second only if it has a weight)."""
        images, labels, draws = batch.images["images"], batch.images["labels"], batch.draws
        wanted = self.draw_labels(len(images), draws)
        with torch.no_grad():
            fakes = self.generator.to_category(images, wanted).images
        real, category = self.judge(images, draws)
        fake, fake_category = self.judge(fakes, draws)
        terms = {"adversarial": hinge_discriminator(real, fake), "category": category_error(category, labels)}
        if self.training.fake_category_weight:
            terms["category_fake"] = category_error(fake_category, wanted)
        return terms

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Everything T1, T2 and M learn from; ``accuracy`` is logged only."""
        images, labels, draws = batch.images["images"], batch.images["labels"], batch.draws
        wanted, colours = self.draw_labels(len(images), draws), self.draw_colours(len(images), draws)
        mask = self.generator.mask(images)  # the same in both
        seen = self.generator.to_category(images, wanted, mask=mask)
        unseen = self.generator.to_colour(images, colours, mask=mask)
        logits, category = self.judge(seen.images, draws)
        targets = {"region": seen.mask, "color": colours, "content": images}
        foreground, composed = self.color(unseen.foreground, targets), self.color(unseen.images, targets)
        share = self.training.foreground_share
        back = self.generator.to_category(unseen.images, labels).images
        again = self.generator.to_category(seen.images[::2], labels[::2]).images  # half a batch will do for this one
        return {
            "adversarial": hinge_generator(logits),
            "category": category_error(category, wanted),
            "colour": share * foreground + (1 - share) * composed,
            "cycle_colour": absolute_difference(back, images),
            "cycle": absolute_difference(again, images[::2]),
            "area": area(seen.mask),
            "indecision": indecision(seen.mask),
            "coherence": region_variance(images, seen.mask),
            "range": out_of_range(seen.foreground) + out_of_range(unseen.foreground),
            "accuracy": (category.argmax(dim=1) == wanted).float(),
        } | constraint_terms(self.constraints, [(unseen.images, targets)])

    def judge(self, images: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """D's patch and category logits of shifted images."""
        pixels = round(self.training.shift * images.shape[-1])
        found: tuple[Tensor, Tensor] = self.discriminator(random_shift(images, draws, pixels=pixels))
        return found

    def draw_labels(self, count: int, draws: Draws) -> Tensor:
        """``(count,)`` target categories."""
        return draws.integers(self.generator.categories, count)

    def draw_colours(self, count: int, draws: Draws) -> Tensor:
        """``(count, 3)`` target colours in [-1, 1], even in RGB."""
        return (DARKEST + (BRIGHTEST - DARKEST) * draws.uniform(count, 3)) * 2 - 1


def recolour_stage(
    losses: RecolourLosses, averaged: RecolourGenerator, batches: Batches, preview: Any, *, mask_only: bool = False
) -> Stage:
    """One stage; ``averaged`` becomes the model to keep.

    Args:
        losses: of one step.
        averaged: average of ``losses.generator``.
        batches: of images with categories.
        preview: draws a grid.
        mask_only: train M and D alone; this is fine-tuning.
    """
    training, ramp = losses.training, Ramp(losses.training.accuracy)
    early, late = training.cycle_weight

    def cycle(progress: float) -> float:
        return early + (late - early) * ramp.share

    generator_weights: dict[str, Weight] = {
        "adversarial": training.adversarial_weight,
        "category": training.category_weight,
        "colour": training.colour_weight,
        "cycle_colour": cycle,
        "cycle": lambda progress: training.seen_cycle * cycle(progress),
        "area": lambda progress: training.area_weight * ramp.share,
        "indecision": lambda progress: training.indecision_weight * ramp.share,
        "coherence": lambda progress: training.coherence_weight * ramp.share,
        "range": training.range_weight,
        **constraint_weights(losses.constraints),
    }
    discriminator_weights = {
        "adversarial": 1.0,
        "category": training.category_weight,
        "category_fake": training.category_weight * training.fake_category_weight,
    }
    modules = {"generator": losses.generator, "discriminator": losses.discriminator}
    trained = {**modules, "generator": losses.generator.mask} if mask_only else modules
    rates = {"generator": training.lr, "discriminator": training.discriminator_lr or training.lr}
    return Stage(
        name="finetuning" if mask_only else "adversarial",
        steps=training.steps,
        batches=batches,
        groups={
            name: ParamGroup(list(module.parameters()), lr=rates[name], betas=(0.5, 0.999))
            for name, module in trained.items()
        },
        phases=[
            Phase("discriminator", "discriminator", losses.discriminator_terms, discriminator_weights),
            Phase("generator", "generator", losses.generator_terms, generator_weights),
        ],
        modules=modules,
        averages={"generator": (losses.generator, averaged)},
        ema_half_life=training.ema_half_life,
        ema_rampup=None if mask_only else 0.2,
        state={"ramp": ramp},
        on_step=[ramp.on_step],
        preview=preview,
    )
