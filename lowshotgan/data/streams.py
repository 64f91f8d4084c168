"""Further endless, resumable batches: rows of tensors, and images a generator draws."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import positive
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError


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
        self.batch_size = shared_size(batch_size, world_size)
        self.flip, self.seed, self.rank, self.world_size = flip, seed, rank, world_size
        self.device = torch.device(device)
        self.position = 0

    def __next__(self) -> dict[str, Tensor]:
        entries = self._entries(self.position, self.position + self.batch_size)
        self.position += self.batch_size
        chosen, mirrored = entries[:, self.rank :: self.world_size]
        found = {}
        for name, tensor in self.rows.items():
            part = tensor[chosen]
            if tensor.dtype == torch.uint8:
                part = from_uint8(part)
                if self.flip:
                    part = torch.where(mirrored.bool()[:, None, None, None], part.flip(3), part)
            found[name] = part.to(self.device)
        return found

    def _entries(self, start: int, stop: int) -> Tensor:
        """``(2, stop - start)``: which row, and whether it is mirrored, at places of the endless order."""
        count = len(next(iter(self.rows.values())))
        first, last = start // count, (stop - 1) // count
        passes = []
        for number in range(first, last + 1):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            order = torch.randperm(count, generator=generator)
            passes.append(torch.stack([order, torch.randint(2, (count,), generator=generator)]))
        return torch.cat(passes, dim=1)[:, start - first * count : stop - first * count]

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = int(state["position"])


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
        self.batch_size = shared_size(batch_size, world_size)
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.device = torch.device(device)
        self.position = 0

    @torch.no_grad()
    def __next__(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.position)
        self.position += 1
        latents = self.latent_std * torch.randn(self.batch_size, self.z_dim, generator=generator)
        return self.draw(latents[self.rank :: self.world_size].to(self.device))

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = int(state["position"])


def shared_size(batch_size: int, world_size: int) -> int:
    """``batch_size`` if the processes can share it.

    Raises:
        ConfigError: if it is no multiple of their number.
    """
    if int(positive("batch_size", batch_size)) % world_size:
        raise ConfigError(f"batch_size={batch_size} cannot be shared by {world_size} processes; use a multiple.")
    return int(batch_size)
