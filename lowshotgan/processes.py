"""What the processes of one training share: means, and the whole batch that each holds a part of.

Process r of n holds the samples r, r + n, r + 2 n ... of a batch, as ``draws`` deals them.
"""

from typing import Any

import torch
from torch import Tensor


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of ``value`` over all processes; ``value`` itself when there is only one."""
    if _count() == 1:
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / _count()


def whole_batch(share: Tensor) -> Tensor:
    """The batch that all processes hold together, in its order: ``(b, ...) -> (b n, ...)``.

    Gradients of any order flow back to every process, whichever computed the loss. All processes must call it alike.
    """
    if _count() == 1:
        return share
    nothing = torch.zeros_like(share)
    placed = [share if rank == torch.distributed.get_rank() else nothing for rank in range(_count())]
    return _Sum.apply(torch.stack(placed, dim=1).flatten(0, 1))  # type: ignore[no-any-return]


def own_share(whole: Tensor) -> Tensor:
    """This process's samples of a whole batch: ``(b n, ...) -> (b, ...)``."""
    return whole if _count() == 1 else whole[torch.distributed.get_rank() :: _count()]


class PathMean:
    """Running mean of path lengths (decay 0.99), equal in every process and carried in checkpoints."""

    def __init__(self) -> None:
        self.value = 0.0

    def update(self, lengths: Tensor) -> float:
        """Take in ``lengths (B,)`` and return the new mean."""
        self.value += 0.01 * (float(mean_over_processes(lengths.detach().mean())) - self.value)
        return self.value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = float(state["value"])


def _count() -> int:
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


class _Sum(torch.autograd.Function):
    """The sum over all processes; the gradient of a sum over processes is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)  # type: ignore[no-any-return]
