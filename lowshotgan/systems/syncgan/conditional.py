"""The conditional SyncGAN as a system: items of one modality drawn from items of another, without a code.

Chen, Chen and Hu, "Synchronize the Latent Space of Cross-modal GANs", ICME 2018 (arXiv 1804.00410), conditional form: like
a matching-aware conditional GAN, but what is real and what matches are asked of two judges.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import not_negative, one_of, positive, whole
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.losses.adversarial import logistic_discriminator, logistic_generator
from lowshotgan.losses.synchrony import synchrony
from lowshotgan.systems.generation import OutputType, check_drawing
from lowshotgan.systems.syncgan.conditional_networks import ConditionalGenerator, ConditionalJudges, CondSyncGANConfig
from lowshotgan.systems.syncgan.cross_modal import CrossModal
from lowshotgan.systems.syncgan.data import PairBatches, SyncData
from lowshotgan.systems.syncgan.results import JointGeneration, pictures, side_by_side
from lowshotgan.types import Batch, ParamGroup, Phase, Stage


@dataclass(frozen=True)
class CondSyncGANTraining:
    """How the conditional SyncGAN is trained; the defaults are those released for digits and garments.

    Attributes:
        steps: of everything.
        batch_size: items of each modality in a step, over all processes.
        lr: of the generator, for both of its steps, which share one optimiser; betas (0.5, 0.999) everywhere.
        discriminator_lr: of the discriminator.
        synchronizer_lr: of the synchronizer; 1e-4 was released for a digit and the same digit rotated.
        sync_weight: of what the synchronizer says of drawn pairs.
        per_group: use only the first so many items of each label as pairs; 0 for all.
    """

    steps: int = 40_000
    batch_size: int = 64
    lr: float = 1e-3
    discriminator_lr: float = 2e-4
    synchronizer_lr: float = 2e-4
    sync_weight: float = 1.0
    per_group: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "lr", "discriminator_lr", "synchronizer_lr"):
            positive(name, getattr(self, name))
        not_negative(self, "sync_weight", "per_group")
        if self.batch_size < 2:
            raise ConfigError("batch_size must be at least 2: asynchronous pairs need two items.")


class CondSyncGANLosses:
    """The loss terms; each method maps a batch of ``PairBatches`` to named ``(B,)`` values.

    Args:
        generator: draws the second modality of ``names`` from the first.
        judges: discriminator and synchronizer.
        names: of the modalities.
    """

    def __init__(self, generator: ConditionalGenerator, judges: ConditionalJudges, names: tuple[str, str]) -> None:
        self.generator, self.judges, self.names = generator, judges, names

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """D on real items and on drawn ones."""
        with torch.no_grad():
            drawn = self.draw(batch, "any")
        judge = self.judges.discriminator
        return {"adversarial": logistic_discriminator(judge(batch.images[f"any/{self.names[1]}"]), judge(drawn))}

    def synchronizer_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """S on real pairs that match and that do not, half each, and on drawn pairs, which it is to call wrong."""
        first, second = (batch.images[f"pair/{name}"] for name in self.names)
        judge, groups = self.judges.synchronizer.train(), batch.images["group"]
        with torch.no_grad():
            drawn = self.draw(batch, "pair")
        other = (groups != groups.roll(1)).float()  # equal concepts are no asynchronous pair
        wrong = other * synchrony(judge(first, second.roll(1, dims=0), self.names), 0.0)
        right = synchrony(judge(first, second, self.names), 1.0)
        return {"synchrony": (right + wrong) / 2, "generated": synchrony(judge(first, drawn, self.names), 0.0)}

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """What D says of drawn items."""
        return {"adversarial": logistic_generator(self.judges.discriminator(self.draw(batch, "any")))}

    def synchrony_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """What S says of items and what is drawn from them."""
        first = batch.images[f"any/{self.names[0]}"]
        logits = self.judges.synchronizer.eval()(first, self.draw(batch, "any"), self.names)
        return {"synchrony": synchrony(logits, 1.0)}

    def draw(self, batch: Batch, kind: str) -> Tensor:
        """The second modality of ``pair`` or ``any`` items of the first."""
        items = batch.images[f"{kind}/{self.names[0]}"]
        noise = batch.draws.normal(len(items), self.generator.noise_dim) if self.generator.noise_dim else None
        values: Tensor = self.generator(items, noise)
        return values


class CondSyncGAN(CrossModal):
    """Draws items of one modality that match items of another.

    Attributes:
        generator: from the one to the other.
        discriminator: the judges, or ``None`` if the weights came without them.
        names: what is given and what is drawn.
    """

    system = "cond_syncgan"
    Config = CondSyncGANConfig
    Training = CondSyncGANTraining
    generator: ConditionalGenerator
    discriminator: ConditionalJudges | None

    def __init__(self, config: CondSyncGANConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.names = config.names
        first, second = (self.modalities[name].shape for name in self.names)
        self.generator = ConditionalGenerator(first, second, config.noise_dim)
        self.discriminator = ConditionalJudges(config)
        self._shown: Tensor | None = None

    @torch.no_grad()
    def generate(
        self,
        n: int | None = None,
        *,
        content: Any = None,
        seed: int = 0,
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **unknown: Any,
    ) -> JointGeneration:
        """Draw the second modality of items of the first.

        Args:
            n: results for each item; more than one needs a model with noise.
            content: what the first modality reads: paths, images, recordings.
            seed: of the noise, the same for every item.
            batch_size: items per forward pass; 16 by default.
            output_type: of ``images``: "pil", "pt" or "np".

        Raises:
            ConfigError: without content, or for options there are none of, such as seeds.
            ImageInputError: for unreadable items.
        """
        if unknown or content is None:
            named = f"it takes no {', '.join(sorted(unknown))}" if unknown else "pass content="
            raise ConfigError(f"{self.arch} draws {self.names[1]} from {self.names[0]}; {named}.")
        size = check_drawing(batch_size, output_type)
        n = whole("n", 1 if n is None else n)
        if n > 1 and not self.config.noise_dim:
            raise ConfigError(f"{self.arch} has no noise, so an item has one result; got n={n}.")
        items = self.modalities[self.names[0]].read(content).repeat_interleave(n, dim=0)
        noise = Draws(whole("seed", seed, low=0)).normal(n, self.config.noise_dim).repeat(len(items) // n, 1)
        generator = self.generator.eval()
        parts = zip(items.split(size), noise.split(size), strict=True)
        made = torch.cat([generator(x.to(self.device), z.to(self.device)).float().cpu() for x, z in parts])
        values = {self.names[1]: made}
        return JointGeneration(pictures(values), None, noise, output_type, values, self.modalities)

    def transfer(
        self, items: Any, *, to: str | None = None, from_: str | None = None, n: int = 1, **options: Any
    ) -> JointGeneration:
        """``generate(n, content=items)``, under the name the two-way model gives it.

        Args:
            items: of the first modality.
            to: the second modality; this model has one direction.
            from_: the first.
            n: results for each item.
            options: of ``generate``.

        Raises:
            ConfigError: for another direction.
        """
        for given, name in ((to, self.names[1]), (from_, self.names[0])):
            if given is not None and one_of("modality", given, self.modalities) != name:
                raise ConfigError(
                    f"{self.arch} goes from {self.names[0]} to {self.names[1]} only; train one with inverse=True."
                )
        return self.generate(n, content=items, **options)

    def stages(self, data: SyncData, training: CondSyncGANTraining | None = None, **process: int) -> Iterator[Stage]:
        """One stage: D, S, then G against D, then G against S, each a step of its own.

        Args:
            data: from ``read_data``.
            training: settings.
            process: ``seed``, ``rank`` and ``world_size``.

        Raises:
            ConfigError: if the model came without its judges.
        """
        training = training or CondSyncGANTraining()
        judges: ConditionalJudges = self.judges_for("training")
        self.requires_grad_(True).train()
        losses = CondSyncGANLosses(self.generator, judges, self.names)
        members, _ = data.split(training.per_group)
        self._shown = data.values[self.names[0]][:16]
        groups = {
            "discriminator": (judges.discriminator, training.discriminator_lr),
            "synchronizer": (judges.synchronizer, training.synchronizer_lr),
            "generator": (self.generator, training.lr),
        }
        yield Stage(
            name="adversarial",
            steps=training.steps,
            batches=PairBatches(data, members, training.batch_size, device=self.device, **process),
            groups={
                n: ParamGroup(list(net.parameters()), lr=lr, betas=(0.5, 0.999)) for n, (net, lr) in groups.items()
            },
            phases=[
                Phase("discriminator", "discriminator", losses.discriminator_terms, {"adversarial": 1.0}),
                Phase("synchronizer", "synchronizer", losses.synchronizer_terms, {"synchrony": 1.0, "generated": 1.0}),
                Phase("generator", "generator", losses.generator_terms, {"adversarial": 1.0}),
                Phase("in-step", "generator", losses.synchrony_terms, {"synchrony": training.sync_weight}),
            ],
            modules={"generator": self.generator, "judges": judges},
            preview=self._preview,
        )

    @torch.no_grad()
    def _preview(self) -> Tensor:
        """Items of the training data and what is drawn from them, in turn."""
        assert self._shown is not None
        mode = self.generator.training
        noise = Draws(0).normal(len(self._shown), self.config.noise_dim).to(self.device)
        made = self.generator.eval()(self._shown.to(self.device), noise).cpu()
        self.generator.train(mode)
        return side_by_side([self._shown, made])
