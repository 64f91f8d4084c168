"""Batches, averages and optimisers that the stages of the paired systems have in common."""

import copy
from typing import Any

from torch import nn

from lowshotgan.types import ParamGroup

MIN_BATCH = 8
"""Fewest shots in one step; fewer are repeated, because batch norm needs a batch."""
MIN_SHARE = 2
"""Fewest of them in one process, for the same reason."""
FEWEST_AVERAGED = 200
"""Stages of fewer steps are not averaged."""
EMA_RAMPUP = 0.2
"""The half-life of an average is at most this share of the steps done."""


def shots_per_step(batch_size: int, shots: int, world_size: int) -> int:
    """How many of ``shots`` to take per step: all if they fit, at least ``MIN_BATCH``, a multiple of ``world_size``, and
    ``MIN_SHARE`` for each process."""
    wanted = max(min(batch_size, shots), min(MIN_BATCH, batch_size), MIN_SHARE * world_size)
    return -(-wanted // world_size) * world_size


def live_copies(steps: int, half_life: float, **kept: nn.Module) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """What a stage trains while the networks ``kept``, which are drawn from later, follow as running averages.

    Returns:
        the networks to train, by the same names, and what the ``Stage`` is told about averages. Without a half-life, and
        in a stage too short for an average to mean anything, these are ``kept`` themselves, and nothing.
    """
    if not half_life or steps < FEWEST_AVERAGED:
        return kept, {}
    live = {name: copy.deepcopy(network) for name, network in kept.items()}
    pairs = {name: (live[name], network) for name, network in kept.items()}
    return live, {"averages": pairs, "ema_half_life": half_life, "ema_rampup": EMA_RAMPUP}


def group(lr: float, *networks: nn.Module, final: float = 1.0) -> ParamGroup:
    """All parameters of ``networks`` under the Adam of the release; ``final`` is the share of the rate left at the end."""
    params = [parameter for network in networks for parameter in network.parameters()]
    return ParamGroup(params, lr=lr, betas=(0.0, 0.9), rate=lambda progress: final**progress)
