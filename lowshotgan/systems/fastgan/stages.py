"""Training FastGAN from scratch as one stage of the loop (Liu et al., ICLR 2021, section 4 and release).

discriminator (hinge with soft margins, three decodings of real images) -> generator (hinge), same fakes
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lowshotgan.draws import Draws, preview_of
from lowshotgan.finetune.augment import DiffAugment
from lowshotgan.losses.adversarial import hinge_discriminator, hinge_generator
from lowshotgan.losses.penalties import lecam
from lowshotgan.nets.batch_norm import batch_statistics
from lowshotgan.nets.fastgan import Discriminator, Generator, quarter, shrink
from lowshotgan.nets.gradients import with_graph
from lowshotgan.processes import mean_over_processes
from lowshotgan.systems.fastgan.config import FastGANTraining
from lowshotgan.systems.frozen_features import Perceptual
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

MARGINS = (0.8, 1.0)
LECAM_DECAY = 0.99


def source_stage(
    generator: Generator,
    averaged: Generator,
    discriminator: Discriminator,
    batches: Batches,
    training: FastGANTraining,
    *,
    perceptual: Perceptual,
    on_step: Callable[[int, dict[str, float]], None],
    preview_seeds: Sequence[int] = range(64),
) -> Stage:
    """One stage that trains ``generator`` and ``discriminator``; ``averaged`` becomes the model to keep."""
    losses = FastGANLosses(generator, discriminator, training, perceptual)
    weights = {"adversarial": 1.0, "reconstruction": training.reconstruction_weight, "lecam": training.lecam_weight}
    return Stage(
        name="source",
        steps=training.steps,
        batches=batches,
        groups={"generator": _group(generator, training), "discriminator": _group(discriminator, training)},
        phases=[
            Phase("discriminator", "discriminator", losses.discriminator_terms, weights),
            Phase("generator", "generator", losses.generator_terms, {"adversarial": 1.0}),
        ],
        modules={"generator": generator, "discriminator": discriminator},
        averages={"generator": (generator, averaged)},
        ema_half_life=training.ema_half_life,
        state={"logit_means": losses.means},
        on_step=[on_step],
        preview=_preview(averaged, preview_seeds),
    )


class FastGANLosses:
    """The loss terms of one step; each method maps a batch to named ``(B,)`` values.

    The fakes of the discriminator's step are kept with their graph and serve the generator's step too, as in the
    release: one forward pass of the generator per step.
    """

    def __init__(
        self, generator: Generator, discriminator: Discriminator, training: FastGANTraining, perceptual: Perceptual
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.perceptual = perceptual
        self.training = training
        self.means = LogitMeans()
        self._fakes: deque[tuple[Tensor, Tensor]] = deque()
        augment = DiffAugment(training.augment) if training.augment else None
        self._augment = augment.build(batch=training.batch_size) if augment else None

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Hinge loss with margins drawn from U[0.8, 1.0], reconstruction of the real images, LeCam if wanted."""
        count, draws = len(batch.images), batch.draws
        fakes = self._draw(count, draws)
        self._fakes.append(fakes)
        reals = self._augmented(batch.images, draws)
        quadrant = draws.shared_integer(4)
        real, decoded = self.discriminator(reals, quadrant=quadrant)
        fake = self.discriminator(*(image.detach() for image in fakes))
        low, high = MARGINS
        margins = low + (high - low) * draws.uniform(count, 2, real.shape[1])
        terms = {
            "adversarial": hinge_discriminator(real, fake, margin_real=margins[:, 0], margin_fake=margins[:, 1]),
        }
        if self.training.reconstruction_weight:
            terms["reconstruction"] = self._reconstruction(decoded, reals, quadrant)
        if self.training.lecam_weight:
            self.means.update(real, fake)
            terms["lecam"] = lecam(real, fake, real_mean=self.means.real, fake_mean=self.means.fake)
        return terms

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Hinge loss of the generator on the fakes the discriminator has just seen."""
        fakes = self._fakes.popleft() if self._fakes else self._draw(len(batch.images), batch.draws)
        return {"adversarial": hinge_generator(self.discriminator(*fakes))}

    def _draw(self, count: int, draws: Draws) -> tuple[Tensor, Tensor]:
        """Augmented fakes at both sizes, with the graph to the generator's parameters."""
        generator = self.generator
        latents, noise = draws.normal(count, generator.z_dim), generator.draw_noise(count, draws)
        with with_graph(generator):
            big, small = generator(latents, noise=noise, return_small=True)
        return self._augmented(big, draws), self._augmented(small, draws)

    def _augmented(self, images: Tensor, draws: Draws) -> Tensor:
        return images if self._augment is None else self._augment(images, draws)

    def _reconstruction(self, decoded: Mapping[str, Tensor], reals: Tensor, quadrant: int) -> Tensor:
        """Sum over the three decodings of their distance from the real image (or its quadrant)."""
        targets = {"big": reals, "small": reals, "part": quarter(reals, quadrant)}
        distances = [self.perceptual(decoded[k], shrink(targets[k], decoded[k].shape[-1])) for k in targets]
        return torch.stack(distances).sum(dim=0)


class LogitMeans:
    """Running means of real and generated logits for LeCam, carried in checkpoints."""

    def __init__(self) -> None:
        self.real = torch.zeros([])
        self.fake = torch.zeros([])

    def update(self, real: Tensor, fake: Tensor) -> None:
        """Take in the logits ``(B, ...)`` of one step."""
        towards = 1 - LECAM_DECAY
        self.real = self.real.to(real.device).lerp(mean_over_processes(real.detach().mean()), towards)
        self.fake = self.fake.to(fake.device).lerp(mean_over_processes(fake.detach().mean()), towards)

    def state_dict(self) -> dict[str, Any]:
        return {"real": self.real, "fake": self.fake}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.real, self.fake = state["real"], state["fake"]


def _group(network: nn.Module, training: FastGANTraining) -> ParamGroup:
    return ParamGroup(list(network.parameters()), lr=training.lr, betas=(0.5, 0.999))


def _preview(averaged: Generator, seeds: Sequence[int]) -> Callable[[], Tensor]:
    draw = preview_of(averaged, seeds)

    def draw_settled() -> Tensor:
        with batch_statistics(averaged):  # its own are recomputed only when training ends
            return draw()

    return draw_settled
