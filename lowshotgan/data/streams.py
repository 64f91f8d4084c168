"""Further endless, resumable batches: rows of tensors, and images a generator draws."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lowshotgan.data.batches import Share
from lowshotgan.data.images import from_uint8


class RowBatches:
    """Shuffled batches of the rows of some tensors, kept together; every row is seen once per pass.

    Few rows are repeated within a batch. The order depends on the seed and the position alone; with several processes
    each takes every ``world_size``-th row of the same global batch.

    Args:
        rows: tensors ``(K, ...)`` by name, K >= 1; uint8 ones are images and come out in [-1, 1].
        batch_size: rows per step over all processes.
        flip: mirror the images of a row with probability one half, all of them alike.
        seed: start of the order.
        rank: index of this process.
        world_size: number of processes; ``batch_size`` must be a multiple.
        device: where the batches are put.
    """

    def __init__(
        self,
        rows: Mapping[str, Tensor],
        batch_size: int,
        *,
        flip: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.rows = dict(rows)
        self.share = Share(batch_size, rank, world_size)
        self.flip, self.seed = flip, seed
        self.device = torch.device(device)

    def __next__(self) -> dict[str, Tensor]:
        mine = self.share.take()
        chosen, mirrored = self._entries(mine)
        found = {}
        for name, tensor in self.rows.items():
            part = tensor[chosen]
            if tensor.dtype == torch.uint8:
                part = from_uint8(part)
                if self.flip:
                    part = torch.where(mirrored.bool()[:, None, None, None], part.flip(3), part)
            found[name] = part.to(self.device)
        return found

    def _entries(self, places: range) -> Tensor:
        """``(2, len(places))``: which row, and whether it is mirrored, at places of the endless order."""
        count = len(next(iter(self.rows.values())))
        first, last = places[0] // count, places[-1] // count
        passes = []
        for number in range(first, last + 1):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            order = torch.randperm(count, generator=generator)
            passes.append(torch.stack([order, torch.randint(2, (count,), generator=generator)]))
        return torch.cat(passes, dim=1)[:, [place - first * count for place in places]]

    def state_dict(self) -> dict[str, Any]:
        return self.share.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.share.load_state_dict(state)


class DrawnBatches:
    """Images a frozen generator draws, in place of a data set that is not at hand; never the same ones twice.

    Args:
        draw: from latents ``(B, z_dim)`` to images ``(B, 3, R, R)`` in [-1, 1].
        z_dim: length of a latent.
        batch_size: images per step over all processes.
        latent_std: standard deviation of the latents.
        seed: of the latents, together with the position.
        rank: index of this process.
        world_size: number of processes; ``batch_size`` must be a multiple.
        device: where the latents are put.
    """

    def __init__(
        self,
        draw: Callable[[Tensor], Tensor],
        z_dim: int,
        batch_size: int,
        *,
        latent_std: float = 1.0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.draw, self.z_dim, self.latent_std = draw, z_dim, latent_std
        self.share = Share(batch_size, rank, world_size)
        self.seed = seed
        self.device = torch.device(device)

    @torch.no_grad()
    def __next__(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.share.turn())
        latents = self.latent_std * torch.randn(self.share.batch_size, self.z_dim, generator=generator)
        return self.draw(latents[self.share.mine].to(self.device))

    def state_dict(self) -> dict[str, Any]:
        return self.share.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.share.load_state_dict(state)
