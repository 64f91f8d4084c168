"""Training of the embedding network, and how well it reads categories it did not see (E of the paper)."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from lowshotgan.data.categories import CategoryBatches, CategorySet
from lowshotgan.data.images import from_uint8
from lowshotgan.losses.knowledge_guided import nearest
from lowshotgan.messages import tell, warn
from lowshotgan.systems.kggan.config import KGGANConfig, KGGANTraining
from lowshotgan.systems.kggan.generator import KnowledgeGenerator, make_embedding, rows_of
from lowshotgan.systems.kggan.networks import EmbeddingNets
from lowshotgan.systems.kggan.nuisance import Nuisance
from lowshotgan.systems.kggan.stages import EmbeddingLoss, View, embedding_stage
from lowshotgan.types import Stage

TESTED = 1000
"""At most so many images are read to estimate an accuracy."""


class EmbeddingStages:
    """The stages that train E, and the estimates that go into the model's details.

    Args:
        generator: with E and the table.
        config: of the system.
        images: of the seen categories.
        training: settings.
        options: of ``CategoryBatches``.
    """

    def __init__(
        self,
        generator: KnowledgeGenerator,
        config: KGGANConfig,
        images: CategorySet,
        training: KGGANTraining,
        options: Mapping[str, Any],
    ) -> None:
        self.generator, self.config, self.images = generator, config, images
        self.training, self.options = training, options
        self.vectors = generator.table.vectors[rows_of(config.seen, config.categories)]
        self.held_out: list[tuple[int, float]] = []
        self.details: dict[str, float] = {}

    def stages(self) -> Iterator[Stage]:
        """One stage for each fold, then E itself, which is frozen afterwards."""
        yield from self._folds()
        net = self.generator.embedding.requires_grad_(True).train()
        batches = CategoryBatches(self.images, self.training.batch_size, **self.options)
        yield self._stage("embedding", net, batches)
        net.requires_grad_(False).eval()
        self._tell(self.accuracy(net, torch.arange(len(self.images))))

    @torch.no_grad()
    def accuracy(self, net: EmbeddingNets, rows: Tensor) -> float:
        """Share of images (at most 1000) whose embedding is nearest to their own category, among all seen ones."""
        rows = rows[:: max(1, len(rows) // TESTED)]
        right = 0
        for part in rows.split(64):
            found = net.eval()(from_uint8(self.images.images.uint8(part)).to(self.vectors.device))
            right += int((nearest(found, self.vectors).cpu() == self.images.labels[part]).sum())
        return right / max(len(rows), 1)

    def _folds(self) -> Iterator[Stage]:
        """Train E without some seen categories, in turn, and note how many images of those it reads right."""
        count = len(self.config.seen)
        folds = min(self.training.folds, count // 2)
        for fold in range(folds if folds > 1 else 0):
            left_out = list(range(fold, count, folds))
            rest = [label for label in range(count) if label not in left_out]
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.options["seed"] + fold)
                trial = make_embedding(self.config).to(self.vectors.device)
            batches = CategoryBatches(self.images, self.training.batch_size, only=rest, **self.options)
            yield self._stage(f"fold-{fold}", trial, batches)
            rows = torch.isin(self.images.labels, torch.tensor(left_out)).nonzero()[:, 0]
            self.held_out.append((len(rows), self.accuracy(trial, rows)))

    def _stage(self, name: str, net: EmbeddingNets, batches: CategoryBatches) -> Stage:
        nuisance = Nuisance(self.config.dimensions, self.config.nuisance)
        loss = EmbeddingLoss(net, self.vectors, nuisance, View.of(self.training))
        return embedding_stage(name, loss, batches, self.training)

    def _tell(self, seen: float) -> None:
        chance = 1 / len(self.config.seen)
        self.details.update(seen_accuracy=round(seen, 4), chance=round(chance, 4))
        told = f"The embedding network reads {seen:.0%} of the seen images right (chance {chance:.0%})."
        total = sum(count for count, _ in self.held_out)
        if total:
            estimate = sum(count * share for count, share in self.held_out) / total
            self.details["held_out_accuracy"] = round(estimate, 4)
            told += f" Of categories left out in turn, {estimate:.0%}: expect about that for unseen ones."
            if estimate < 2 * chance:
                warn(
                    "the embedding network hardly reads categories it did not see; unseen categories will not look "
                    "right. Train it longer (embedding_steps=...), name what does not change each attribute "
                    "(nuisance=...), or add seen categories."
                )
        tell(told)
