"""Which moment of a run to keep, judged by nothing but the K images and the source model.

Published few-shot work picks the checkpoint with the best score against the whole target set. A user has no such set,
so that would be a leak; here a snapshot is scored on the training images, their mirrored copies and the source.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import positive
from lowshotgan.data.images import to_uint8
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.types import Stage

MIN_DIVERSITY = 0.6
MAX_MEMORIZATION = 0.05


@dataclass(frozen=True)
class Scores:
    """What a judge says about one set of samples.

    Attributes:
        fidelity: kernel distance to the K images under twofold augmentation; lower is better.
        diversity: mean distance between samples, divided by that of the source's samples of the same latents.
        memorization: share of samples that copy a training image, in [0, 1].
    """

    fidelity: float
    diversity: float
    memorization: float


Judgement = Callable[[Tensor], Scores]
"""From ``(N, 3, R, R)`` uint8 samples to scores."""


@dataclass(frozen=True)
class Snapshot:
    """One scored moment of a run; ``tensors`` is what ``AdaptedGenerator.delta`` gave."""

    step: int
    scores: Scores
    tensors: Mapping[str, Tensor] = field(repr=False)


@dataclass(frozen=True)
class Limits:
    """What a snapshot must keep to be chosen.

    Attributes:
        min_diversity: smallest allowed diversity, relative to the source.
        max_memorization: largest allowed share of copies.
    """

    min_diversity: float = MIN_DIVERSITY
    max_memorization: float = MAX_MEMORIZATION

    def violation(self, scores: Scores) -> float:
        """0 if both limits are kept; else by how much they are missed, each relative to its own room."""
        missing = max(0.0, self.min_diversity - scores.diversity) / max(self.min_diversity, 1e-6)
        excess = max(0.0, scores.memorization - self.max_memorization) / max(1 - self.max_memorization, 1e-6)
        return missing + excess

    def rank(self, scores: Scores) -> tuple[float, float]:
        """Sort key, best first: least violation, then best fidelity.

        So the choice is the best fidelity among the snapshots that keep both limits; if none does, the one that misses
        them least.
        """
        return self.violation(scores), scores.fidelity


class Selector:
    """Scores the averaged generator every ``every`` steps and keeps the best snapshots.

    Add it to a stage with ``attach``. Fixed latents and stored noise make the scores comparable between steps.

    Args:
        generator: the averaged adapted generator.
        judge: from samples to scores.
        every: steps between scores.
        count: samples per score.
        keep: snapshots kept.
        start: steps before the first score.
        limits: what a snapshot must keep.
        seed: of the latents.
        batch: samples generated at once.

    Raises:
        ConfigError: if ``every``, ``count`` or ``keep`` is not above 0.
    """

    name = "selector"

    def __init__(
        self,
        generator: AdaptedGenerator,
        judge: Judgement,
        *,
        every: int,
        count: int = 128,
        keep: int = 5,
        start: int = 0,
        limits: Limits | None = None,
        seed: int = 0,
        batch: int = 32,
    ) -> None:
        self.generator, self.judge = generator, judge
        self.every = int(positive("every", every))
        self.keep = int(positive("keep", keep))
        self.start = start
        self.limits = limits or Limits()
        self.batch = batch
        self.latents = Draws(seed).normal(int(positive("count", count)), generator.z_dim)
        self.snapshots: list[Snapshot] = []
        self.history: list[dict[str, float]] = []

    def attach(self, stage: Stage) -> None:
        """Have ``stage`` call this after its steps and carry its state in checkpoints."""
        stage.on_step = [*stage.on_step, self]
        stage.state = {**stage.state, self.name: self}

    def __call__(self, step: int, log: dict[str, float]) -> None:
        """After a step: score the generator when it is time."""
        done = step + 1
        if done > self.start and done % self.every == 0:
            log |= {f"selector/{name}": value for name, value in asdict(self.score(done)).items()}

    def score(self, step: int) -> Scores:
        """Score the generator as it is now, note it in the history, and keep it if it is among the best."""
        scores = self.judge(self.samples())
        self.history.append({"step": float(step), **asdict(scores)})
        self.snapshots.append(Snapshot(step, scores, self.generator.delta()))
        self.snapshots.sort(key=lambda snapshot: self.limits.rank(snapshot.scores))
        del self.snapshots[self.keep :]
        return scores

    def samples(self) -> Tensor:
        """``(count, 3, R, R)`` uint8 images of the fixed latents."""
        return draw_samples(self.generator, self.latents, batch=self.batch)

    def best(self) -> Snapshot:
        """The chosen snapshot (see ``Limits.rank``).

        Raises:
            ConfigError: if nothing was scored yet.
        """
        if not self.snapshots:
            raise ConfigError("the selector has scored nothing yet; train for more steps or lower 'every'.")
        return self.snapshots[0]

    def qualifies(self) -> bool:
        """Whether the chosen snapshot keeps both limits."""
        return self.limits.violation(self.best().scores) == 0

    def restore(self, snapshot: Snapshot | None = None) -> Snapshot:
        """Put a snapshot (by default the best) back into the generator and return it."""
        snapshot = snapshot or self.best()
        self.generator.load_delta(snapshot.tensors)
        return snapshot

    def curve(self) -> Sequence[Snapshot]:
        """The kept snapshots from the most faithful to the most diverse."""
        return sorted(self.snapshots, key=lambda snapshot: snapshot.scores.fidelity)

    def state_dict(self) -> dict[str, Any]:
        snapshots = [
            {"step": each.step, "scores": asdict(each.scores), "tensors": dict(each.tensors)}
            for each in self.snapshots
        ]
        return {"history": self.history, "snapshots": snapshots}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = [dict(entry) for entry in state["history"]]
        self.snapshots = [
            Snapshot(each["step"], Scores(**each["scores"]), each["tensors"]) for each in state["snapshots"]
        ]


@torch.no_grad()
def draw_samples(generator: Any, latents: Tensor, *, batch: int = 32) -> Tensor:
    """``(N, 3, R, R)`` uint8 images, on the CPU, of ``latents (N, z_dim)``, with the stored noise."""
    device = next(generator.parameters()).device
    return torch.cat([to_uint8(generator(part.to(device))).cpu() for part in latents.split(batch)])
