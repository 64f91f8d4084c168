"""The optimisers of parameter groups, and how their learning rates move during a stage."""

import torch

from lowshotgan.checks import one_of
from lowshotgan.types import ParamGroup


def make_optimizer(group: ParamGroup) -> torch.optim.Optimizer:
    """The optimiser of one parameter group.

    With lazy regularisation every n-th step, Adam's learning rate and betas are scaled by c = n / (n + 1) (Karras et al.
    2020, appendix B), because the penalty takes optimiser steps of its own.

    Raises:
        ConfigError: for an optimiser that is neither "adam" nor "rmsprop".
    """
    one_of("optimizer", group.optimizer, ("adam", "rmsprop"))
    params, ratio, decay = list(group.params), _lazy_ratio(group), group.weight_decay
    if group.optimizer == "rmsprop":
        return torch.optim.RMSprop(params, lr=group.lr, alpha=group.alpha, eps=group.eps, weight_decay=decay)
    special = {id(parameter) for some, _ in group.other_betas for parameter in some}
    rest = [parameter for parameter in params if id(parameter) not in special]
    parts = [(rest, group.betas), *group.other_betas]
    adam = [{"params": list(some), "betas": _lazy_betas(own, ratio)} for some, own in parts]
    betas = _lazy_betas(group.betas, ratio)
    return torch.optim.Adam(adam, lr=group.lr * ratio, betas=betas, eps=group.eps, weight_decay=decay)


def set_rate(optimizer: torch.optim.Optimizer, group: ParamGroup, progress: float, step: int = 0) -> None:
    """Set the learning rate for ``progress`` in [0, 1] and ``step`` from 0: see ``ParamGroup``."""
    falling = min(1.0, (1.0 - progress) / group.decay) if group.decay else 1.0
    rising = min(1.0, (step + 1) / group.warm_up) if group.warm_up else 1.0
    rate = group.rate(progress) if callable(group.rate) else group.rate
    for each in optimizer.param_groups:
        each["lr"] = group.lr * _lazy_ratio(group) * falling * rising * rate


def _lazy_betas(betas: tuple[float, float], ratio: float) -> tuple[float, float]:
    return float(betas[0]) ** ratio, float(betas[1]) ** ratio


def _lazy_ratio(group: ParamGroup) -> float:
    return group.lazy_every / (group.lazy_every + 1) if group.lazy_every else 1.0
