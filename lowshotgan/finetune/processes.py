"""Means over the processes of a distributed run, for controllers that must decide alike everywhere."""

from typing import Any

import torch
from torch import Tensor


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of ``value`` over all processes; ``value`` itself when there is only one."""
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return value
    total = value.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


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
