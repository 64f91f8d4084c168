"""Walks between latents and categories, and a view of the generator that needs no category."""

import torch
from torch import Tensor, nn

from lowshotgan.systems.kggan.guided import KnowledgeGenerator


def walk(latents: Tensor, told: Tensor, *, frames: int, loop: bool) -> tuple[Tensor, Tensor]:
    """``frames`` points on the way through the stops ``latents (S, z)`` and ``told (S, k)``.

    Latents keep the length that their neighbours have; indications are mixed linearly.
    """
    if loop:
        latents, told = torch.cat([latents, latents[:1]]), torch.cat([told, told[:1]])
    places = torch.arange(frames) * ((len(latents) - 1) / max(frames if loop else frames - 1, 1))
    left = places.floor().long().clamp(max=len(latents) - 2)
    share = (places - left)[:, None]
    mixed = latents[left].lerp(latents[left + 1], share)
    lengths = latents.norm(dim=1, keepdim=True)
    wanted = lengths[left].lerp(lengths[left + 1], share)
    mixed = mixed * wanted / mixed.norm(dim=1, keepdim=True).clamp(min=1e-8)
    return mixed, told[left].lerp(told[left + 1], share)


class AnyCategory(nn.Module):
    """The generating network with categories of its own choice, seen and unseen ones in turn, never in one batch."""

    def __init__(self, generator: KnowledgeGenerator) -> None:
        super().__init__()
        self.network = generator.network
        self._generator = [generator]  # in a list, so that its other parts are not sub-modules
        self._calls = 0

    def forward(self, latents: Tensor) -> Tensor:
        """Images of latents ``(B, z_dim)``."""
        generator = self._generator[0]
        is_seen = generator.table.is_seen[: generator.listed]
        side = "seen" if self._calls % 2 == 0 or bool(is_seen.all()) else "unseen"
        self._calls += 1
        rows = (is_seen if side == "seen" else ~is_seen).nonzero()[:, 0]
        chosen = rows[torch.arange(len(latents), device=rows.device) % len(rows)]
        images: Tensor = self.network(latents, generator.indication(chosen, side))
        return images
