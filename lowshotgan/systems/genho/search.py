"""Step 4 of GenHo: for each shot the latent whose content maps are nearest to an encoded one; nothing is trained."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

UNIQUE_FROM = 10
"""Latents per shot from which on no latent is given to two shots."""
CHUNK = 250
REFINE_RATE = 0.05


@torch.no_grad()
def nearest_latents(
    queries: Sequence[Tensor], content: Callable[[Tensor], Tensor], *, z_dim: int, bank: int = 10_000, seed: int = 0
) -> Tensor:
    """Search a bank of noise exhaustively.

    Args:
        queries: encoded content maps ``(K, C, L, L)``, one tensor per query; squared distances of several are added.
        content: from latents ``(B, z_dim)`` to content maps ``(B, C, L, L)``.
        z_dim: length of a latent.
        bank: number of latents tried. With at least 10 per shot every shot gets a latent of its own, nearest first.
        seed: of the bank.

    Returns:
        ``(K, z_dim)`` latents on the CPU.
    """
    latents = torch.randn(bank, z_dim, generator=torch.Generator().manual_seed(seed))
    device = queries[0].device
    flat = [query.flatten(1).float() for query in queries]
    parts = []
    for part in latents.split(CHUNK):
        maps = content(part.to(device)).flatten(1).float()
        parts.append(torch.stack([torch.cdist(query, maps).square() for query in flat]).sum(dim=0).cpu())
    distances = torch.cat(parts, dim=1)  # (K, bank)
    return latents[assign(distances, unique=bank >= UNIQUE_FROM * len(distances))]


def assign(distances: Tensor, *, unique: bool) -> Tensor:
    """For each row of ``(K, N)`` distances its nearest column; with ``unique`` greedily, the nearest row first."""
    if not unique:
        return distances.argmin(dim=1)
    free = distances.clone()
    chosen = torch.zeros(len(distances), dtype=torch.long)
    for row in distances.amin(dim=1).argsort().tolist():
        chosen[row] = free[row].argmin()
        free[:, chosen[row]] = torch.inf
    return chosen


def refine_latents(
    latents: Tensor,
    draw: Callable[[Tensor], Tensor],
    distance: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    steps: int,
) -> Tensor:
    """Improve latents ``(K, z_dim)`` so that they redraw ``images (K, 3, R, R)``: an extension of the paper.

    They keep the length that noise has, or what is learnt from them would not hold for noise.

    Args:
        latents: where to start.
        draw: from latents to images of the source domain.
        distance: perceptual distance ``(K,)`` of images from targets.
        images: what should be redrawn.
        steps: of Adam; 0 changes nothing.
    """
    found = latents.to(images.device).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([found], lr=REFINE_RATE)
    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            distance(draw(_as_noise(found)), images).sum().backward()
            optimizer.step()
    return (_as_noise(found.detach()) if steps else found.detach()).cpu()


def _as_noise(latents: Tensor) -> Tensor:
    """``(K, z_dim)`` latents with a mean square of 1."""
    return latents * latents.square().mean(dim=1, keepdim=True).rsqrt()
