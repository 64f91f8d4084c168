"""Endless pairs of content images and exemplars, drawn from images with classes.

ClassSet -> Episodes -> {"content", "content_labels", "exemplars", "exemplar_labels"}
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.data.batches import Share
from lowshotgan.data.classes import ClassSet
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError

SAMPLINGS = ("images", "classes")


class Episodes:
    """Endless, resumable batches of content images and single exemplars, drawn independently of each other.

    Everything depends on the seed and the position alone; with several processes each takes every ``world_size``-th
    pair of the same global batch. An exemplar may be of its content image's class, as in FUNIT's release.

    Args:
        data: images with classes.
        batch_size: pairs per step over all processes.
        resolution: side of the batches; images that are larger are cut to it at random places.
        siblings: exemplars are other images of their content's class (itself where it is the only one).
        sampling: "images" sees every image once per pass (the papers'); "classes" draws every class equally often,
            and no class twice in a batch while there are enough.
        flip: mirror each image with probability one half.
        seed: start of the order.
        rank: index of this process.
        world_size: number of processes; ``batch_size`` must be a multiple.
        device: where the batches are put.
    """

    def __init__(
        self,
        data: ClassSet,
        batch_size: int,
        *,
        resolution: int | None = None,
        siblings: bool = False,
        sampling: str = "images",
        flip: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        one_of("sampling", sampling, SAMPLINGS)
        self.data, self.flip, self.seed = data, flip, seed
        self.share = Share(batch_size, rank, world_size)
        self.resolution = resolution or data.images.resolution
        if self.resolution > data.images.resolution:
            raise ConfigError(f"images of {data.images.resolution} px cannot be cut to {self.resolution} px.")
        self.device = torch.device(device)
        kind = ImageOrder if sampling == "images" else ClassOrder
        content = kind(data, f"{seed} content")
        exemplars = SiblingOrder(data, content, f"{seed} siblings") if siblings else kind(data, f"{seed} exemplars")
        self._orders: dict[str, Order] = {"content": content, "exemplars": exemplars}

    def __iter__(self) -> "Episodes":
        return self

    def __next__(self) -> dict[str, Tensor]:
        batch: dict[str, Tensor] = {}
        mine = self.share.take()
        for role, order in self._orders.items():
            rows = [order.row(position) for position in mine]
            batch[role] = self._cut(rows, mine, role).to(self.device)
            label = "content_labels" if role == "content" else "exemplar_labels"
            batch[label] = self.data.labels[rows].to(self.device)
        return batch

    def _cut(self, rows: Sequence[int], positions: Sequence[int], role: str) -> Tensor:
        """Images ``(B, 3, R, R)`` in [-1, 1], cut and mirrored as their positions say."""
        side, room = self.resolution, self.data.images.resolution - self.resolution
        cut = []
        for image, position in zip(self.data.images.uint8(rows), positions, strict=True):
            chance = torch.rand(3, generator=_generator(f"{self.seed} {role} {position} cut"))
            top, left = (chance[:2] * (room + 1)).long().clamp(max=room).tolist()
            image = image[:, top : top + side, left : left + side]
            cut.append(image.flip(2) if self.flip and chance[2] < 0.5 else image)
        return from_uint8(torch.stack(cut))

    def state_dict(self) -> dict[str, Any]:
        return self.share.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.share.load_state_dict(state)


class Shuffled:
    """An endless order of ``count`` things in which every pass holds each of them once, in a new order."""

    def __init__(self, count: int, seed: str) -> None:
        self.count, self.seed = count, seed
        self._pass, self._order = -1, list[int]()

    def at(self, position: int) -> int:
        """What stands at ``position``, from 0."""
        number, offset = divmod(position, self.count)
        if number != self._pass:
            generator = _generator(f"{self.seed} {number}")
            self._pass, self._order = number, torch.randperm(self.count, generator=generator).tolist()
        return self._order[offset]


class Order(Protocol):
    """Says which image stands where in an endless order."""

    def row(self, position: int) -> int:
        """Which image stands at ``position``."""


class ImageOrder:
    """Every image once per pass."""

    def __init__(self, data: ClassSet, seed: str) -> None:
        self._images = Shuffled(len(data), seed)

    def row(self, position: int) -> int:
        """Which image stands at ``position``."""
        return self._images.at(position)


class ClassOrder:
    """Every class once per pass; the n-th pass takes the n-th image of each class's own order."""

    def __init__(self, data: ClassSet, seed: str) -> None:
        self._rows = data.rows
        self._classes = Shuffled(len(data.classes), seed)
        self._within = [Shuffled(len(rows), f"{seed} class {label}") for label, rows in enumerate(data.rows)]

    def row(self, position: int) -> int:
        """Which image stands at ``position``."""
        label = self._classes.at(position)
        return int(self._rows[label][self._within[label].at(position // len(self._rows))])


class SiblingOrder:
    """For every image of another order, a random other image of its class."""

    def __init__(self, data: ClassSet, of: Order, seed: str) -> None:
        self._data, self._of, self._seed = data, of, seed

    def row(self, position: int) -> int:
        """Which image stands at ``position``."""
        first = self._of.row(position)
        rows = self._data.rows[int(self._data.labels[first])]
        others = [row for row in rows if row != first] or rows
        chosen = torch.randint(len(others), (1,), generator=_generator(f"{self._seed} {position}"))
        return int(others[int(chosen)])


def _generator(text: str) -> torch.Generator:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(seed)
