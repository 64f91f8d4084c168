"""Batch-norm statistics of a trained generator: its own in evaluation mode, or those of each batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils import parametrize

from lowshotgan.errors import ConfigError


@torch.no_grad()
def recompute_batch_norm(
    generator: nn.Module, *, z_dim: int, samples: int = 2000, batch_size: int = 50, seed: int = 0
) -> None:
    """Give a generator batch-norm statistics that belong to its weights; leaves it in evaluation mode.

    An averaged generator has averaged weights but no statistics of its own, and with those of the live one
    its images break, which is why FastGAN keeps batch statistics at inference (Liu et al., ICLR 2021,
    released code). Here ``samples`` fixed latents are run through the network once, each layer keeps the
    plain mean over batches of what it saw, and evaluation mode is right from then on. Spectral norms are
    brought to the averaged weights first.

    Args:
        generator: called with latents ``(batch_size, z_dim)`` only; changed in place.
        z_dim: length of a latent.
        samples: number of latents; rounded up to whole batches.
        batch_size: latents run at once, at least 2.
        seed: of the latents.

    Raises:
        ConfigError: if ``samples`` or ``batch_size`` is below 2.
    """
    if min(batch_size, samples) < 2:
        raise ConfigError(
            f"batch statistics need samples and batch_size of at least 2, got {samples} and {batch_size}."
        )
    generator.eval()
    _settle_spectral_norms(generator)
    device = next(generator.parameters()).device
    draws = torch.Generator().manual_seed(seed)
    with _accumulating(_batch_norms(generator)):
        for _ in range(-(-samples // batch_size)):
            generator(torch.randn(batch_size, z_dim, generator=draws).to(device))


@contextmanager
def batch_statistics(generator: nn.Module) -> Iterator[None]:
    """Normalise by the statistics of each batch while inside; the stored statistics stay as they are."""
    norms = _batch_norms(generator)
    before = [(norm.training, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 0.0  # running = 1 * running + 0 * batch
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, (training, momentum, tracked) in zip(norms, before, strict=True):
            norm.train(training)
            norm.momentum, norm.num_batches_tracked = momentum, tracked


@contextmanager
def _accumulating(norms: list[nn.BatchNorm1d | nn.BatchNorm2d]) -> Iterator[None]:
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain mean over batches
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def _batch_norms(module: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]


def _settle_spectral_norms(module: nn.Module, iterations: int = 20) -> None:
    """Run the power iteration of each normalised layer until its estimate fits the present weights."""
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            layer.train()
            for _ in range(iterations):
                _ = layer.weight  # each read in training mode is one iteration
            layer.eval()
