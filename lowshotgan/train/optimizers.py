"""Adam as StyleGAN2 uses it."""

import torch

from lowshotgan.types import ParamGroup


def make_adam(group: ParamGroup) -> torch.optim.Adam:
    """Adam for one parameter group.

    With lazy regularisation every n-th step, learning rate and betas are scaled by c = n / (n + 1) (Karras et al.
    2020, appendix B), because the penalty takes optimiser steps of its own.
    """
    ratio = _lazy_ratio(group)
    betas = (float(group.betas[0]) ** ratio, float(group.betas[1]) ** ratio)
    return torch.optim.Adam(list(group.params), lr=group.lr * ratio, betas=betas, eps=group.eps)


def set_rate(optimizer: torch.optim.Optimizer, group: ParamGroup, progress: float) -> None:
    """Set the learning rate for ``progress`` in [0, 1]: see ``types.ParamGroup`` for how it falls."""
    falling = min(1.0, (1.0 - progress) / group.decay) if group.decay else 1.0
    falling *= group.final**progress
    for each in optimizer.param_groups:
        each["lr"] = group.lr * _lazy_ratio(group) * falling


def _lazy_ratio(group: ParamGroup) -> float:
    return group.lazy_every / (group.lazy_every + 1) if group.lazy_every else 1.0
