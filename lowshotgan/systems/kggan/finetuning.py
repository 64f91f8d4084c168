"""Fine-tuning of KG-GAN: K images join what the discriminator sees, and the semantic losses go on.

E, vectors     frozen; a category of a new name gets the mean reading of its images as its vector
D, G           hinge on the K images and G1's, both by DiffAugment; semantic losses of all categories as before
hold           G draws categories without images here as the untouched generator does
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lowshotgan.data.categories import CategoryBatches, CategorySet
from lowshotgan.data.knowledge import Knowledge
from lowshotgan.errors import ConfigError
from lowshotgan.finetune.augment import DiffAugment
from lowshotgan.losses.reconstruction import absolute_difference
from lowshotgan.systems.kggan.config import KGGANFineTuning
from lowshotgan.systems.kggan.generator import rows_of
from lowshotgan.systems.kggan.stages import KGGANLosses, View, adversarial_stage
from lowshotgan.types import Batch, Stage


class FineTuningLosses(KGGANLosses):
    """Terms of fine-tuning: those of the adversarial stage, and ``hold``.

    Attributes:
        before: the generating network as it was.
        held: rows of categories that are to be drawn as before.
    """

    before: nn.Module
    held: Tensor

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """As in training, and how much other categories have changed."""
        terms = dict(super().generator_terms(batch))
        if len(self.held):
            count = len(batch.images["images"])
            latents = batch.draws.normal(count, self.generator.z_dim)
            told = self.generator.told(self.held[batch.draws.integers(len(self.held), count)])
            with torch.no_grad():
                wanted = self.before(latents, told)
            terms["hold"] = absolute_difference(self.live(latents, told), wanted)
        return terms

    def generator_weights(self) -> dict[str, float]:
        """As in training, with that of ``hold``."""
        assert isinstance(self.training, KGGANFineTuning)
        return super().generator_weights() | {"hold": self.training.hold}


def admit(system: Any, shots: CategorySet) -> None:
    """Make the categories of ``shots`` known to a ``KGGAN``, and count them as seen.

    Raises:
        ConfigError: for a name that came after training, if the model tells seen categories one-hot.
    """
    new = [name for name in shots.categories if name not in system.categories]
    later = [name for name in shots.categories if name not in system.categories[: system.config.listed]]
    if later and system.config.seen_indication == "one_hot":
        raise ConfigError(
            f"this model tells seen categories one-hot, so it cannot learn {later[0]!r}, which its training did not know; "
            "train one with seen_indication='embedding'."
        )
    if new:
        system.add_categories(Knowledge.from_exemplars(system.embed, {name: shots.of(name) for name in new}))
    joined = [name for name in shots.categories if name not in system.config.seen]
    system.config = replace(system.config, seen=(*system.config.seen, *joined))
    table = system.generator.table
    table.is_seen = table.is_seen.clone()
    table.is_seen[rows_of(shots.categories, system.categories)] = True


def finetune_stages(
    system: Any, shots: CategorySet, training: KGGANFineTuning, *, seed: int, rank: int, world_size: int
) -> Iterator[Stage]:
    """The one stage; afterwards the generator of the ``KGGAN`` holds the average of the network that was trained."""
    if system.discriminator is None:
        raise ConfigError(f"{system.arch} was loaded without its discriminator; fine-tuning needs one.")
    admit(system, shots)
    options: dict[str, Any] = {"seed": seed, "rank": rank, "world_size": world_size, "device": system.device}
    batches = CategoryBatches(shots, training.batch_size, flip=training.flip, **options)
    system._stale = True
    yield adversarial_stage(
        make_losses(system, shots, training),
        batches,
        system.moved,
        lambda: system._preview(range(8), first=shots.categories),
        name="finetuning",
        ema_rampup=None,
    )


def make_losses(system: Any, shots: CategorySet, training: KGGANFineTuning) -> FineTuningLosses:
    """The losses of one step; ``system.generator.network`` becomes the average of the network that is trained."""
    generator, categories = system.generator, system.categories
    before = (
        copy.deepcopy(generator.network).requires_grad_(False).train()
    )  # by the statistics of a batch, as ``live``
    live = copy.deepcopy(generator.network).requires_grad_(True).train()
    generator.network.eval().requires_grad_(False)
    generator.embedding.eval().requires_grad_(False)
    losses = FineTuningLosses(
        generator,
        live,
        system.discriminator.requires_grad_(True).train(),
        rows_of(shots.categories, categories),
        rows_of(system.config.unseen, categories),
        training,
        View(training.shift, training.noise),
        augment=DiffAugment().build(batch=training.batch_size) if training.augment else None,
        constraints=system.constraints,
    )
    others = [name for name in categories if name not in shots.categories]
    losses.before, losses.held = before, torch.tensor(rows_of(others, categories), device=system.device).long()
    return losses
