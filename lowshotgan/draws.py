"""All randomness of training, from one stream that does not depend on the number of processes.

Every process draws the numbers of the whole (global) batch from the same CPU generator and keeps the samples
``rank, rank + world_size, ...``, so two processes together see exactly what one process would. The strided
slice also keeps the groups of the minibatch standard deviation together.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lowshotgan.errors import ConfigError


class Draws:
    """A seeded stream of random numbers for batches.

    Args:
        seed: start of the stream.
        device: where the drawn tensors are put; they are always drawn on the CPU.
        rank: index of this process.
        world_size: number of processes.
    """

    def __init__(self, seed: int, *, device: torch.device | str = "cpu", rank: int = 0, world_size: int = 1) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.device = torch.device(device)
        self.rank = rank
        self.world_size = world_size

    def normal(self, batch: int, *shape: int) -> Tensor:
        """``(batch, *shape)`` standard normal values, float32."""
        return self._local(torch.randn(batch * self.world_size, *shape, generator=self.generator))

    def uniform(self, batch: int, *shape: int) -> Tensor:
        """``(batch, *shape)`` values in [0, 1), float32."""
        return self._local(torch.rand(batch * self.world_size, *shape, generator=self.generator))

    def integers(self, high: int, batch: int, *shape: int) -> Tensor:
        """``(batch, *shape)`` whole numbers in [0, high), int64."""
        return self._local(torch.randint(high, (batch * self.world_size, *shape), generator=self.generator))

    def shared_integer(self, high: int) -> int:
        """One whole number in [0, high), the same in every process."""
        return int(torch.randint(high, (1,), generator=self.generator))

    def shared_uniform(self) -> float:
        """One value in [0, 1), the same in every process."""
        return float(torch.rand(1, generator=self.generator))

    def state_dict(self) -> dict[str, Tensor]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.generator.set_state(state["generator"].cpu())

    def _local(self, whole: Tensor) -> Tensor:
        return whole[self.rank :: self.world_size].to(self.device)


def latents_from_seeds(seeds: Sequence[int], dim: int) -> Tensor:
    """``(len(seeds), dim)`` latents, each drawn on the CPU by its own generator: a seed fixes its image alone.

    Raises:
        ConfigError: if ``seeds`` is empty.
    """
    if not len(seeds):
        raise ConfigError("seeds is empty; pass at least one.")
    return torch.stack([torch.randn(dim, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds])


def preview_of(generator: Any, seeds: Sequence[int]) -> Callable[[], Tensor]:
    """A function that draws ``seeds`` with ``generator`` as it then is: ``(N, 3, R, R)`` on the CPU."""
    latents = latents_from_seeds(list(seeds), generator.z_dim)
    chunks = math.ceil(len(latents) / 16)

    @torch.no_grad()
    def draw() -> Tensor:
        device = next(generator.parameters()).device
        return torch.cat([generator(part.to(device)).cpu() for part in latents.chunk(chunks)])

    return draw
