"""A blend of latents for walks, and a view of the generator that needs no category."""

import torch
from torch import Tensor, nn

from lowshotgan.systems.kggan.guided import KnowledgeGenerator


def blend_latents(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Between latents ``(N, D)``, ``share (N, 1)`` from 0 to 1: mixed linearly, as long as their neighbours are."""
    mixed: Tensor = start.lerp(end, share)
    wanted = start.norm(dim=1, keepdim=True).lerp(end.norm(dim=1, keepdim=True), share)
    blended: Tensor = mixed * wanted / mixed.norm(dim=1, keepdim=True).clamp(min=1e-8)
    return blended


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
