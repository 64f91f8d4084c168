"""Optimal transport between two batches, by Sinkhorn's iterations (Cuturi, NeurIPS 2013)."""

import torch
from torch import Tensor


def transport_partners(cost: Tensor, chance: Tensor, *, blur: float = 0.05, rounds: int = 30) -> Tensor:
    """For each row of ``cost`` one column, drawn from the transport plan between them.

    Pairing noise with data in this way before flow matching (Tong et al., TMLR 2024; Pooladian et al., ICML 2023) makes
    the flow's paths straighter and the map from noise to data smoother.

    Args:
        cost: ``(N, M)``, of carrying row i to column j; a constant added to a row changes nothing.
        chance: ``(N,)`` uniform numbers in [0, 1) that decide the draws.
        blur: how far the plan is from the cheapest, relative to the mean cost above a row's least.
        rounds: of scaling rows and columns.

    Returns:
        ``(N,)`` indices of columns.
    """
    above = cost - cost.amin(dim=1, keepdim=True)
    kernel = torch.exp(-above / (blur * above.mean()).clamp(min=1e-12))
    columns = torch.ones_like(kernel[0])
    for _ in range(rounds):
        rows = (kernel @ columns).clamp(min=1e-30).reciprocal()
        columns = (kernel.T @ rows).clamp(min=1e-30).reciprocal()
    reached = (kernel * columns).cumsum(dim=1)
    found = torch.searchsorted(reached, (chance * reached[:, -1])[:, None], right=True).squeeze(1)
    return found.clamp(max=cost.shape[1] - 1)
