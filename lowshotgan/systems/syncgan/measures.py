"""What is measured of SyncGAN while it is trained: is the synchronizer ready, what do encoders usually leave over."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lowshotgan.losses.synchrony import auc
from lowshotgan.systems.syncgan.data import SyncData
from lowshotgan.systems.syncgan.inversion import squared_error
from lowshotgan.systems.syncgan.networks import Concat, JointGenerator, TwoTower

LOOKED_AT = 200
"""Held-out items of each modality that are compared, all with all."""


@torch.no_grad()
def held_out_auc(
    synchronizer: TwoTower | Concat, data: SyncData, held_out: Sequence[Mapping[str, Tensor]], names: tuple[str, str]
) -> float:
    """Chance that the synchronizer rates a matching pair of held-out items above another.

    Args:
        synchronizer: put into evaluation mode.
        data: the items.
        held_out: groups of rows, from ``SyncData.split``.
        names: of two modalities.
    """
    per_group = max(1, LOOKED_AT // len(held_out))
    rows = {name: [group[name][:per_group] for group in held_out] for name in names}
    groups = {n: torch.cat([torch.full((len(part),), i) for i, part in enumerate(rows[n])]) for n in names}
    device = next(synchronizer.parameters()).device
    items = {name: data.values[name][torch.cat(rows[name])].to(device) for name in names}
    logits = synchronizer.eval().combinations(items[names[0]], items[names[1]], names).cpu()
    return auc(logits.flatten(), (groups[names[0]][:, None] == groups[names[1]][None]).flatten())


@torch.no_grad()
def usual_errors(
    generator: JointGenerator, encoders: nn.ModuleDict, data: SyncData, *, count: int = 500
) -> dict[str, float]:
    """``error_95_<modality>``: what 95% of some training items are met better than by their encoder."""
    found = {}
    device = next(generator.parameters()).device
    for name, encoder in encoders.eval().items():
        rows = torch.linspace(0, len(data.values[name]) - 1, min(count, len(data.values[name]))).long()
        items = data.values[name][rows].to(device)
        error = squared_error(generator.eval().decode(encoder(items), name), items)
        found[f"error_95_{name}"] = round(float(error.quantile(0.95)), 4)
    return found
