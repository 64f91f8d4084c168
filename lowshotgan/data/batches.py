"""Endless, resumable batches of one image set, equal for any number of processes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import positive
from lowshotgan.data.dataset import ImageSet
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError
from lowshotgan.types import Batches


class Share:
    """Which positions of an endless global order are this process's: every ``world_size``-th of each batch.

    A source counts either positions (``take``) or batches (``turn``); the state is that count.

    Args:
        batch_size: positions per step over all processes.
        rank: index of this process.
        world_size: number of processes; ``batch_size`` must be a multiple.
    """

    def __init__(self, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self.batch_size = int(positive("batch_size", batch_size))
        if self.batch_size % world_size:
            raise ConfigError(f"batch_size={batch_size} cannot be shared by {world_size} processes; use a multiple.")
        self.rank, self.world_size = rank, world_size
        self.position = 0

    def take(self) -> range:
        """This process's positions of the next batch."""
        start = self.position
        self.position += self.batch_size
        return range(start, self.position)[self.mine]

    def turn(self) -> int:
        """Number of the next batch, for sources that draw the whole of it and keep the rows ``mine``."""
        self.position += 1
        return self.position - 1

    @property
    def mine(self) -> slice:
        """Which rows of a whole batch are this process's."""
        return slice(self.rank, None, self.world_size)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = int(state["position"])


class ImageBatches:
    """Shuffled batches ``(B, 3, R, R)`` in [-1, 1] without end; every image is seen once per pass.

    Small sets are repeated within a batch. The order and the flips depend on the seed and the position alone; with
    several processes each takes every ``world_size``-th image of the same global batch.

    Args:
        images: the images to draw from.
        batch_size: images per step over all processes.
        flip: mirror each image with probability one half.
        seed: start of the order.
        rank: index of this process.
        world_size: number of processes; ``batch_size`` must be a multiple.
        device: where the batches are put.
    """

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        *,
        flip: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.images = images
        self.share = Share(batch_size, rank, world_size)
        self.flip = flip
        self.seed = seed
        self.device = torch.device(device)
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))

    def __iter__(self) -> "ImageBatches":
        return self

    def __next__(self) -> Tensor:
        mine = [self._entry(position) for position in self.share.take()]
        batch = from_uint8(self.images.uint8([index for index, _ in mine]))
        mirrored = torch.tensor([flipped for _, flipped in mine])
        batch = torch.where(mirrored[:, None, None, None], batch.flip(3), batch)
        return batch.to(self.device)

    def _entry(self, position: int) -> tuple[int, bool]:
        """Image index and mirroring at one position of the endless order."""
        epoch, offset = divmod(position, len(self.images))
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.stack(
                [
                    torch.randperm(len(self.images), generator=generator),
                    torch.randint(2, (len(self.images),), generator=generator),
                ]
            )
            self._order = (epoch, order)
        index, mirrored = self._order[1][:, offset].tolist()
        return index, bool(mirrored) and self.flip

    def state_dict(self) -> dict[str, Any]:
        return self.share.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.share.load_state_dict(state)


class Together:
    """Several sources of batches as one: tensors by the name of their source, mappings by their own names.

    Args:
        parts: name -> source.
    """

    def __init__(self, parts: Mapping[str, Batches]) -> None:
        self.parts = parts

    def __iter__(self) -> "Together":
        return self

    def __next__(self) -> dict[str, Any]:
        batch: dict[str, Any] = {}
        for name, part in self.parts.items():
            drawn = next(part)
            batch |= drawn if isinstance(drawn, Mapping) else {name: drawn}
        return batch

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
