"""What is measured of SyncGAN while it is trained: is the synchronizer ready, what does each way of transfer leave over."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lowshotgan.losses.synchrony import auc
from lowshotgan.messages import tell, warn
from lowshotgan.processes import mean_over_processes
from lowshotgan.systems.syncgan.data import SyncData
from lowshotgan.systems.syncgan.inversion import Search
from lowshotgan.systems.syncgan.networks import Concat, JointGenerator, Judges, TwoTower

READY = 0.7
"""AUC below which the synchronizer cannot teach."""
LOOKED_AT = 200
"""Held-out items of each modality that are compared, all with all."""
TRANSFERRED = 100
"""Training items of each modality that show what error is usual."""


class Exam:
    """How well a synchronizer matches items it did not learn from, over all pairs of the first two modalities.

    Args:
        synchronizer: of any training state.
        data: the items.
        held_out: groups of rows, from ``SyncData.split``; none if there are too few.
    """

    def __init__(
        self, synchronizer: TwoTower | Concat, data: SyncData, held_out: Sequence[Mapping[str, Tensor]]
    ) -> None:
        self.synchronizer, self.data, self.held_out = synchronizer, data, held_out

    @torch.no_grad()
    def auc(self) -> float:
        """Chance that it rates a matching pair of held-out items above another; leaves it in evaluation mode."""
        names = tuple(self.data.values)[:2]
        looked_at = self.held_out[:LOOKED_AT]
        per_group = LOOKED_AT // len(looked_at)
        rows = {name: [group[name][:per_group] for group in looked_at] for name in names}
        groups = {n: torch.cat([torch.full((len(part),), i) for i, part in enumerate(rows[n])]) for n in names}
        device = next(self.synchronizer.parameters()).device
        first, second = (self.data.values[name][torch.cat(rows[name])].to(device) for name in names)
        logits = self.synchronizer.eval().combinations(first, second, (names[0], names[1])).cpu()
        return auc(logits.flatten(), (groups[names[0]][:, None] == groups[names[1]][None]).flatten())

    def reaches(self, wanted: float) -> Callable[[], bool]:
        """A question: has it come to this AUC, in the mean over processes? Never, if nothing is held out."""

        def ready() -> bool:
            if not self.held_out:
                return False
            found = torch.tensor(self.auc(), device=next(self.synchronizer.parameters()).device)
            return float(mean_over_processes(found)) >= wanted

        return ready

    def told(self) -> dict[str, dict[str, float]]:
        """Say the result, or why there is none, and return it as details of the model."""
        if not self.held_out:
            warn(
                f"nothing was held out, as {self.data.why_nothing_is_held_out()}, so it is not known how well the "
                "synchronizer tells what belongs together."
            )
            return {}
        found = self.auc()
        tell(f"The synchronizer tells matching from other pairs with an AUC of {found:.3f} on held-out items.")
        if found < READY:
            warn("the synchronizer hardly tells what belongs together; give more pairs or more synchronizer_steps.")
        return {"synchronizer": {"held_out_auc": round(found, 4)}}


def some_items(data: SyncData) -> dict[str, Tensor]:
    """A few items of each modality from all over the data, for ``usual_errors``."""
    rows = {n: torch.linspace(0, len(v) - 1, min(TRANSFERRED, len(v))).long() for n, v in data.values.items()}
    return {name: values[rows[name]] for name, values in data.values.items()}


@torch.no_grad()
def usual_errors(
    generator: JointGenerator, judges: Judges | None, items: Mapping[str, Tensor], methods: Sequence[str]
) -> dict[str, dict[str, float]]:
    """What 95% of ``items`` are met better than: method -> modality -> mean squared difference.

    As ``transfer`` finds codes by default, but from one start, which takes half the time and is a little more lenient.
    """
    device, names = next(generator.parameters()).device, list(items)
    found: dict[str, dict[str, float]] = {}
    for method in methods:
        found[method] = {}
        for name in names:
            way = (name, names[1] if name == names[0] else names[0])
            error = Search(method, restarts=1).find(generator, judges, items[name].to(device), way).error
            found[method][name] = float(f"{float(error.quantile(0.95)):.3g}")
    return found
