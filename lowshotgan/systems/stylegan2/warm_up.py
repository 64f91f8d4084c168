"""Variational warm-up: teach generator and discriminator trunk to redraw images before they compete.

    image -> discriminator trunk -> head -> mean, log variance of z -> z -> mapping -> synthesis -> image

A GAN trained from scratch spends most of a small budget on learning to draw at all. Here the generator first learns
to decode, as the decoder of a variational autoencoder (Kingma and Welling 2014) whose encoder is the discriminator's
trunk; the prior on z is the one the GAN samples from, so adversarial training starts from blurred but whole images
and from useful features. The head is discarded afterwards.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.nets.stylegan2 import Discriminator, Generator
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

KL_WEIGHT = 1e-4
"""Nats of KL divergence against mean absolute error: a Laplace likelihood of scale about 1.2 at 64 px."""


class LatentHead(nn.Module):
    """Discriminator features ``(B, C)`` to the mean and log variance of z, ``(B, z_dim)`` each."""

    def __init__(self, features: int, z_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 2 * z_dim)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.linear(features).chunk(2, dim=1)
        return mean, log_variance.clamp(-8.0, 4.0)


def warm_up_stage(
    generator: Generator,
    averaged: Generator,
    discriminator: Discriminator,
    batches: Batches,
    *,
    steps: int,
    lr: float,
    preview: Callable[[], Tensor] | None = None,
    ema_half_life: float = 100.0,
) -> Stage:
    """One stage that trains both networks as an autoencoder."""
    head = LatentHead(discriminator.b4.fc.weight.shape[0], generator.z_dim)
    head.to(next(generator.parameters()).device)

    def terms(batch: Batch) -> Mapping[str, Tensor]:
        return autoencoding_terms(generator, discriminator, head, batch)

    def group(network: nn.Module) -> list[Any]:
        return list(network.parameters())

    params = group(generator) + group(discriminator) + group(head)
    return Stage(
        name="warm_up",
        steps=steps,
        batches=batches,
        groups={"autoencoder": ParamGroup(params, lr=lr, betas=(0.9, 0.99))},
        phases=[Phase("warm_up", "autoencoder", terms, {"reconstruction": 1.0, "kl": KL_WEIGHT})],
        modules={"generator": generator, "discriminator": discriminator, "head": head},
        averages={"generator": (generator, averaged)},
        ema_half_life=ema_half_life,
        preview=preview,
    )


def autoencoding_terms(
    generator: Generator, discriminator: Discriminator, head: LatentHead, batch: Batch
) -> Mapping[str, Tensor]:
    """Mean absolute error over a pyramid of resolutions, and KL divergence in nats; ``(B,)`` each."""
    _, features = discriminator(batch.images, return_features=True)
    mean, log_variance = head(features["b4.fc"])
    z = mean + (0.5 * log_variance).exp() * batch.draws.normal(len(mean), mean.shape[1])
    w = generator.mapping(z)
    generator.mapping.track(w.detach())
    drawn = generator.synthesis(generator.broadcast(w), noise="none")
    kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1)
    return {"reconstruction": pyramid_error(drawn, batch.images), "kl": kl}


def pyramid_error(images: Tensor, target: Tensor) -> Tensor:
    """``(B,)`` mean absolute difference, averaged over the resolutions R, R/2 and R/4."""
    errors = []
    for _ in range(3):
        errors.append((images - target).abs().mean(dim=(1, 2, 3)))
        images, target = F.avg_pool2d(images, 2), F.avg_pool2d(target, 2)
    return torch.stack(errors).mean(dim=0)
