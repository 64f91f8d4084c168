"""Whether two modalities show the same concept (Chen, Chen and Hu, ICME 2018); every function returns ``(B,)``."""

import torch
import torch.nn.functional as F
from torch import Tensor


def synchrony(logits: Tensor, together: Tensor | float) -> Tensor:
    """Binary cross entropy of pair logits ``(B,)`` against 1 (synchronous) or 0 (not)."""
    logits = logits.float()
    target = torch.as_tensor(together, dtype=torch.float32, device=logits.device).expand_as(logits)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def all_pairs_synchrony(logits: Tensor, groups: Tensor) -> Tensor:
    """Every combination of a batch as a labelled pair.

    Args:
        logits: ``(B, B)``, first modality by second.
        groups: ``(B,)``; equal numbers belong together.

    Returns:
        ``(B,)``, the sum of each row; its mean is the sum over all combinations divided by B.
    """
    together = (groups[:, None] == groups[None, :]).float()
    return F.binary_cross_entropy_with_logits(logits.float(), together, reduction="none").sum(dim=1)


def auc(logits: Tensor, together: Tensor) -> float:
    """Chance that a synchronous pair is rated above another; one half for ties. ``nan`` if one kind is missing."""
    right, wrong = logits[together], logits[~together]
    if not len(right) or not len(wrong):
        return float("nan")
    ordered = wrong.sort().values
    below, up_to = (torch.searchsorted(ordered, right, right=ties) for ties in (False, True))
    return float((below + up_to).double().mean() / (2 * len(wrong)))
