"""Means over the processes of a distributed run, for controllers that must decide alike everywhere."""

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
