"""Source partners for shots that came without: an extension of the paired systems, searched by edges.

For each shot, latents are sought whose source image has the same edges; that image is taken as the partner. The papers
of the paired systems assume true partners and claim nothing for found ones.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lowshotgan.data.images import from_uint8, to_uint8
from lowshotgan.data.pairs import edge_map
from lowshotgan.messages import warn
from lowshotgan.systems.perception import Perception

BANK = 256
STEPS = 200
RATE = 0.05
CHUNK = 32


def find_partners(
    shots: Tensor,
    draw: Callable[[Tensor], Tensor],
    perception: Perception,
    *,
    z_dim: int,
    latent_std: float = 1.0,
    seed: int = 0,
    bank: int = BANK,
    steps: int = STEPS,
) -> Tensor:
    """Source images whose edges are nearest to those of ``shots``, with a warning that they are found, not given.

    Args:
        shots: ``(K, C, R, R)`` uint8.
        draw: from latents ``(B, z_dim)`` to source images ``(B, C, R, R)`` in [-1, 1].
        perception: distance between edge maps.
        z_dim: length of a latent.
        latent_std: standard deviation of the latents.
        seed: of the latents that are tried first.
        bank: how many of them.
        steps: of Adam from the best one of each shot; 0 takes it as it is.

    Returns:
        ``(K, C, R, R)`` uint8 on the CPU.
    """
    warn(
        f"the {len(shots)} shots have no source partners; nearest source images by their edges are used, which is no "
        "replacement for true pairs. Pass pairs=(source, target) if you have them."
    )
    latents = latent_std * torch.randn(bank, z_dim, generator=torch.Generator().manual_seed(seed))
    found = [_nearest(shot[None], latents, draw, perception, steps) for shot in shots]
    return to_uint8(torch.cat(found)).cpu()


def _nearest(
    shot: Tensor, latents: Tensor, draw: Callable[[Tensor], Tensor], perception: Perception, steps: int
) -> Tensor:
    """The source image ``(1, C, R, R)`` for one shot."""
    with torch.no_grad():
        device = draw(latents[:2]).device
        wanted = _edges(from_uint8(shot).to(device))
        distances = [
            perception(_edges(draw(part)), wanted.expand(len(part), -1, -1, -1)) for part in latents.split(CHUNK)
        ]
        start = latents[int(torch.cat(distances).argmin())][None]
    with torch.enable_grad():
        latent = start.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([latent], lr=RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            perception(_edges(draw(latent)), wanted).sum().backward()
            optimizer.step()
    with torch.no_grad():
        better = perception(_edges(draw(latent)), wanted) < perception(_edges(draw(start)), wanted)
        return draw(latent if bool(better) else start)


def _edges(images: Tensor) -> Tensor:
    return edge_map(images).expand(-1, images.shape[1], -1, -1)
