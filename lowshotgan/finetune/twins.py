"""Styles of the source that are drawn like the target images: the same outlines, whatever the colours.

What a change of style leaves alone is where the lines are. An image of the source with the lines of a target image shows
what that image would be in the source, as the inverted code does in JoJoGAN (Chong & Forsyth, ECCV 2022), and needs no
encoder: the best of many samples is found by one matrix product and then moved a little.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.draws import Draws
from lowshotgan.losses.reconstruction import absolute_difference
from lowshotgan.nets.stylegan2 import Generator

SIDE = 32
"""Outlines are compared at this side."""
AT_ONCE = 8
"""Images whose styles are moved together."""
STEPS = 60
RATE = 0.02
"""Of the steps that move the styles of the best samples, by Adam."""
STAY = 0.05
"""Weight of their mean squared distance from the samples' styles."""


def find_twins(generator: Generator, images: Tensor, *, candidates: int, seed: int) -> Tensor:
    """For each image styles whose picture has similar outlines.

    Args:
        generator: the source.
        images: ``(K, 3, R, R)`` in [-1, 1].
        candidates: random samples to choose from; a sample is given to one image only, so at least K are drawn.
        seed: of the samples.

    Returns:
        ``(K, L, w_dim)``, detached.
    """
    wanted = outlines(images)
    start = _best_samples(generator, wanted, max(candidates, len(images)), seed)
    parts = zip(start.split(AT_ONCE), wanted.split(AT_ONCE), strict=True)
    return torch.cat([_moved_nearer(generator, styles, outline) for styles, outline in parts])


@torch.enable_grad()
def _moved_nearer(generator: Generator, start: Tensor, wanted: Tensor) -> Tensor:
    """Styles near ``start (N, L, w_dim)`` whose outlines are nearer to ``wanted (N, 1024)``."""
    styles = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([styles], lr=RATE)
    for _ in range(STEPS):
        similarity = (outlines(generator.synthesis(styles)) * wanted).sum(1)
        loss = (1 - similarity).sum() + STAY * (styles - start).square().flatten(1).mean(1).sum()
        (styles.grad,) = torch.autograd.grad(loss, styles)
        optimizer.step()
    return styles.detach()


@torch.no_grad()
def _best_samples(generator: Generator, wanted: Tensor, candidates: int, seed: int) -> Tensor:
    """``(K, L, w_dim)`` styles of the samples with the most similar outlines, the most similar pair chosen first."""
    latents = Draws(seed, device=wanted.device).normal(candidates, generator.z_dim)
    styles = generator.broadcast(generator.mapping(latents))
    found = torch.cat([outlines(generator.synthesis(part)) for part in styles.split(32)])
    similarity = wanted @ found.T  # (K, N)
    chosen = torch.zeros(len(wanted), dtype=torch.long, device=wanted.device)
    for _ in range(len(wanted)):
        image, sample = divmod(int(similarity.argmax()), candidates)
        chosen[image] = sample
        similarity[image], similarity[:, sample] = -2.0, -2.0
    return styles[chosen]


def outlines(images: Tensor) -> Tensor:
    """Blurred strength of the brightness edges of ``(N, 3, R, R)`` images: ``(N, 1024)`` of unit length and mean 0.

    Neither the sign of an edge nor the contrast of the image matters.
    """
    grey = F.interpolate(images.float().mean(1, keepdim=True), size=2 * SIDE, mode="bilinear", antialias=True)
    across = F.pad(grey[..., :, 1:] - grey[..., :, :-1], (0, 1))
    down = F.pad(grey[..., 1:, :] - grey[..., :-1, :], (0, 0, 0, 1))
    strength = F.avg_pool2d((across.square() + down.square() + 1e-6).sqrt(), 2)
    kernel = strength.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    blurred = F.conv2d(strength, kernel.view(1, 1, 5, 1), padding=(2, 0))
    blurred = F.conv2d(blurred, kernel.view(1, 1, 1, 5), padding=(0, 2)).flatten(1)
    return F.normalize(blurred - blurred.mean(1, keepdim=True), dim=1)


def unlikeness(discriminator: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """How far images ``(B, 3, R, R)`` are from what they should be: ``(B,)``, 0 for equal ones.

    The sum of the features' distance by a frozen discriminator (the mean over its maps of the mean absolute difference,
    relative to the target's mean absolute value), twice the pixels' and four times that of neighbouring pixels' differences.
    """
    with torch.no_grad():
        wanted = _maps(discriminator, target)
    features = [
        absolute_difference(ours, theirs) / theirs.abs().flatten(1).mean(1).clamp(min=1e-8)
        for ours, theirs in zip(_maps(discriminator, images), wanted, strict=True)
    ]
    pixels, edges = absolute_difference(images, target), absolute_difference(_edges(images), _edges(target))
    return torch.stack(features).mean(0) + 2 * pixels + 4 * edges


def _maps(discriminator: nn.Module, images: Tensor) -> list[Tensor]:
    _, features = discriminator(images, return_features=True)
    return [value for value in features.values() if value.ndim == 4]


def _edges(images: Tensor) -> Tensor:
    """Differences of neighbouring pixels: ``(B, 6, R - 1, R - 1)``."""
    down, across = images[..., 1:, :-1] - images[..., :-1, :-1], images[..., :-1, 1:] - images[..., :-1, :-1]
    return torch.cat([down, across], dim=1)
