"""Adam as StyleGAN2 uses it."""

import torch

from lowshotgan.types import ParamGroup


def make_adam(group: ParamGroup) -> torch.optim.Adam:
    """Adam for one parameter group.

    With lazy regularisation every n-th step, learning rate and betas are scaled by c = n / (n + 1) (Karras et al.
    2020, appendix B), because the penalty takes optimiser steps of its own.
    """
    ratio = group.lazy_every / (group.lazy_every + 1) if group.lazy_every else 1.0
    betas = (float(group.betas[0]) ** ratio, float(group.betas[1]) ** ratio)
    return torch.optim.Adam(list(group.params), lr=group.lr * ratio, betas=betas, eps=group.eps)
