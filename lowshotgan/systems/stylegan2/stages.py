"""Training StyleGAN2 from scratch as one stage of the loop (Karras et al., CVPR 2020).

discriminator -> discriminator_r1 (every 16th step) -> generator -> generator_path (every 4th step)
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from lowshotgan.draws import preview_of
from lowshotgan.finetune.augment import Ada, NoAugment
from lowshotgan.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    logistic_discriminator,
    logistic_generator,
)
from lowshotgan.losses.penalties import path_lengths, r1
from lowshotgan.nets.feature_heads import FeatureHeads
from lowshotgan.nets.stylegan2 import Discriminator, Generator, Noise
from lowshotgan.processes import PathMean, mean_over_processes
from lowshotgan.systems.stylegan2.config import SourceTraining
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

Network = TypeVar("Network", bound=nn.Module)
PATH_EVERY = 4
ADA_SPEED = 500.0
"""Thousands of images in which the augmentation can rise from 0 to 1, from scratch."""


def source_stage(
    generator: Generator,
    averaged: Generator,
    discriminator: Discriminator,
    batches: Batches,
    training: SourceTraining,
    *,
    heads: FeatureHeads | None = None,
    redraw: Callable[[Tensor], Tensor] | None = None,
    preview_seeds: Sequence[int] = range(64),
) -> Stage:
    """One stage that trains ``generator`` and ``discriminator``; ``averaged`` becomes the model to keep.

    ``heads`` on a frozen feature network judge beside the discriminator, with weight ``training.feature_weight``;
    ``redraw`` measures how far real images are from being redrawn, with weight ``training.anchor_weight``.
    """
    losses = SourceLosses(generator, discriminator, training, heads, redraw)
    judges: list[nn.Module] = [discriminator] if heads is None else [discriminator, heads]
    return Stage(
        name="source",
        steps=training.steps,
        batches=batches,
        groups={
            "generator": _group(
                [generator], training.generator_lr or training.lr, PATH_EVERY if training.path_weight else 0
            ),
            "discriminator": _group(judges, training.lr, training.r1_every if training.r1_gamma else 0),
        },
        phases=_phases(losses, training),
        modules={"generator": generator, "discriminator": discriminator} | ({} if heads is None else {"heads": heads}),
        averages={"generator": (generator, averaged)},
        ema_half_life=training.ema_half_life,
        ema_rampup=training.ema_rampup,
        state={"path_mean": losses.path_mean, "augment": losses.augment},
        on_step=[losses.augment.on_step],
        preview=preview_of(averaged, preview_seeds),
    )


class SourceLosses:
    """The loss terms of one step; each method maps a batch to named ``(B,)`` values."""

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        training: SourceTraining,
        heads: FeatureHeads | None = None,
        redraw: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.heads = heads
        self.redraw = redraw
        self.noise = training.noise
        self.mixing = training.mixing
        wish = Ada(target=training.ada_target, speed=ADA_SPEED) if training.ada_target else NoAugment()
        self.augment = wish.build(batch=training.batch_size)
        self.path_mean = PathMean()

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Adversarial loss of the discriminator."""
        with torch.no_grad():
            fake, _ = self.draw(batch, len(batch.images))
        real_logits = self.judge(batch.images, batch)
        self.augment.observe(real_logits)
        terms = {"adversarial": logistic_discriminator(real_logits, self.judge(fake, batch))}
        if self.heads is not None:
            pairs = zip(self.heads(batch.images), self.heads(fake), strict=True)
            terms["features"] = torch.stack([hinge_discriminator(real, drawn) for real, drawn in pairs]).mean(dim=0)
        return terms

    def r1_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Half the squared gradient norm at real images, to be weighted by gamma."""
        return {"r1": 0.5 * r1(lambda images: self.judge(images, batch), batch.images)}

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Adversarial loss of the generator; also tracks the average style."""
        fake, ws = self.draw(batch, len(batch.images))
        self.generator.mapping.track(mean_over_processes(ws[:, 0].detach().mean(dim=0, keepdim=True)))
        terms = {"adversarial": logistic_generator(self.judge(fake, batch))}
        if self.heads is not None:
            terms["features"] = torch.stack([hinge_generator(logits) for logits in self.heads(fake)]).mean(dim=0)
        if self.redraw is not None:
            terms["anchor"] = self.redraw(batch.images)
        return terms

    def path_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Squared distance of path lengths from their running mean, on half a batch."""
        images, ws = self.draw(batch, max(len(batch.images) // 2, 1))
        lengths = path_lengths(images, ws, batch.draws.normal(len(images), *images.shape[1:]))
        return {"path": (lengths - self.path_mean.update(lengths)).square()}

    def judge(self, images: Tensor, batch: Batch) -> Tensor:
        """Logits ``(B, 1)`` of augmented images."""
        logits = self.discriminator(self.augment(images, batch.draws))
        assert isinstance(logits, Tensor)
        return logits

    def draw(self, batch: Batch, count: int) -> tuple[Tensor, Tensor]:
        """``(count, 3, R, R)`` images and their ``(count, L, w_dim)`` styles, some mixed from two latents."""
        generator, draws = self.generator, batch.draws
        ws = generator.broadcast(generator.mapping(draws.normal(count, generator.z_dim)))
        if self.mixing:
            other = generator.broadcast(generator.mapping(draws.normal(count, generator.z_dim)))
            ws = mix_styles(ws, other, mixed=draws.uniform(count) < self.mixing, cut=draws.uniform(count))
        noise: Noise = generator.synthesis.draw_noise(count, draws) if self.noise else "none"
        images = generator.synthesis(ws, noise=noise)
        assert isinstance(images, Tensor)
        return images, ws


def mix_styles(ws: Tensor, other: Tensor, *, mixed: Tensor, cut: Tensor) -> Tensor:
    """Style mixing: from a random layer on, the chosen samples use the other styles.

    Args:
        ws: ``(B, L, w_dim)`` styles.
        other: same shape.
        mixed: ``(B,)`` bool, which samples mix.
        cut: ``(B,)`` in [0, 1), where; scaled to layers 1 to L - 1.
    """
    layers = ws.shape[1]
    first = (1 + (cut * (layers - 1)).floor())[:, None, None]  # (B, 1, 1)
    swapped = torch.arange(layers, device=ws.device)[None, :, None] >= first  # (B, L, 1)
    return torch.where(swapped & mixed[:, None, None], other, ws)


def average_of(network: Network) -> Network:
    """A frozen copy that will hold the moving average."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def _phases(losses: SourceLosses, training: SourceTraining) -> list[Phase]:
    adversarial = {"adversarial": 1.0, "features": training.feature_weight}
    phases = [Phase("discriminator", "discriminator", losses.discriminator_terms, adversarial)]
    if training.r1_gamma:
        weights = {"r1": training.r1_gamma}
        phases.append(
            Phase("discriminator_r1", "discriminator", losses.r1_terms, weights, every=training.r1_every, fp32=True)
        )
    anchored = adversarial | {"anchor": training.anchor_weight}
    phases.append(Phase("generator", "generator", losses.generator_terms, anchored, start=training.head_start))
    if training.path_weight:
        weights = {"path": training.path_weight}
        phases.append(
            Phase(
                "generator_path",
                "generator",
                losses.path_terms,
                weights,
                every=PATH_EVERY,
                start=training.head_start,
                fp32=True,
            )
        )
    return phases


def _group(networks: Sequence[nn.Module], lr: float, lazy_every: int) -> ParamGroup:
    params = [parameter for network in networks for parameter in network.parameters()]
    return ParamGroup(params, lr=lr, betas=(0.0, 0.99), lazy_every=lazy_every)
