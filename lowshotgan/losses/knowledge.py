"""Losses that keep what a network already knows."""

from collections.abc import Mapping

import torch
from torch import Tensor


def elastic_weights(
    parameters: Mapping[str, Tensor], source: Mapping[str, Tensor], importance: Mapping[str, Tensor]
) -> Tensor:
    """Elastic weight consolidation (Kirkpatrick et al. 2017; for generators Li et al., NeurIPS 2020).

    Args:
        parameters: current values by name.
        source: values before fine-tuning, for at least the names in ``importance``.
        importance: non-negative Fisher information of each value, same shapes.

    Returns:
        ``()``, the sum over all values of ``importance * (parameters - source) ** 2``.
    """
    terms = [(weight * (parameters[name] - source[name]).square()).sum() for name, weight in importance.items()]
    return torch.stack(terms).sum()
