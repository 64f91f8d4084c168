"""LaDo as a system: content and appearance codes, twin generators, a target domain learnt from K pairs.

Kao, Lee and Chiu, "Learning Low-Shot Generative Networks for Cross-Domain Data", ICPR 2020.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

from torch import Tensor

from lowshotgan.data.batches import Together
from lowshotgan.data.pairs import PairSet
from lowshotgan.data.streams import RowBatches
from lowshotgan.errors import ConfigError
from lowshotgan.nets.domains import Domains
from lowshotgan.nets.lado import Encoder, Generator, make_discriminator
from lowshotgan.nets.residual import ResidualDiscriminator
from lowshotgan.systems.lado.config import LaDoConfig, LaDoFineTuning, LaDoTraining
from lowshotgan.systems.lado.stages import (
    SourceLosses,
    TargetLosses,
    alignment_phases,
    source_phases,
    target_phases,
)
from lowshotgan.systems.mixing import MixingNetworks, MixingSystem
from lowshotgan.systems.paired_data import SourceData
from lowshotgan.systems.paired_training import group, live_copies
from lowshotgan.systems.perception import Perception
from lowshotgan.types import Batches, Stage

PASSES = 100
"""Over the data, where the release counts in epochs."""


class LaDoNetworks(MixingNetworks):
    """A shared content encoder, and per domain an appearance encoder and a generator."""

    content: Encoder

    def __init__(self, config: LaDoConfig) -> None:
        size, width = config.resolution, config.width
        super().__init__(
            Encoder(size, code_dim=config.content_dim, width=width),
            Encoder(size, code_dim=config.appearance_dim, width=width),
            Generator(
                size, code_dim=config.content_dim + config.appearance_dim, width=width, channels=config.channels
            ),
            adapted=config.adapted,
        )


class LaDo(MixingSystem):
    """Latent disentanglement: an image is a content code and an appearance code.

    Attributes:
        generator: content encoder, appearance encoders and generators.
        discriminator: one per domain, or ``None`` if the weights came without them.
    """

    system = "lado"
    Config = LaDoConfig
    Training = LaDoTraining
    FineTuning = LaDoFineTuning
    config: LaDoConfig
    generator: LaDoNetworks

    def __init__(self, config: LaDoConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = LaDoNetworks(config)
        judge = make_discriminator(config.resolution, width=config.width, channels=config.channels)
        self.discriminator = Domains(judge, adapted=config.adapted)

    def content_codes(self, images: Tensor) -> Tensor | None:
        return cast(Tensor, self.generator.content(images).mean)

    def stages(
        self,
        data: SourceData,
        training: LaDoTraining | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        preview_seeds: Sequence[int] = range(64),
    ) -> Iterator[Stage]:
        """Stage 1: the source model, from many source images and perhaps pairs."""
        training = training or LaDoTraining()
        if training.cross_adversarial and data.pairs is None:
            raise ConfigError("cross_adversarial needs pairs; train on {'images': ..., 'pairs': ...}.")
        judge = self.need_judges().source
        share: dict[str, Any] = {"seed": seed, "rank": rank, "world_size": world_size}
        return iter([self._source_stage(data, training, judge, preview_seeds, share)])

    def _finetune_stages(
        self,
        pairs: PairSet,
        training: LaDoFineTuning,
        perception: Perception,
        preview_seeds: Sequence[int],
        share: dict[str, Any],
    ) -> Iterator[Stage]:
        """Alignment of the content encoder on source images (replayed without any) and pairs, then the target model."""
        judges = cast(Domains, self.discriminator)
        self.settle()
        self.begin_target(self.generator.appearance, self.generator.image, judges)
        self.eval().requires_grad_(False)
        rows = self.rows_of(pairs, perception, seed=share["seed"])
        sizes: dict[str, Any] = {"batch_size": training.batch_size, "flip": training.flip, **share}
        if training.align_steps:
            streams = {"images": self.source_batches(pairs.images, **sizes), "pairs": self.shot_batches(rows, **sizes)}
            yield self._alignment_stage(Together(streams), training)
        yield self._target_stage(self.shot_batches(rows, **sizes), training, perception, len(pairs), preview_seeds)

    def _source_stage(
        self,
        data: SourceData,
        training: LaDoTraining,
        judge: ResidualDiscriminator,
        preview_seeds: Sequence[int],
        share: dict[str, Any],
    ) -> Stage:
        nets = self.generator
        appearance, kept = cast(Encoder, nets.appearance.source), cast(Generator, nets.image.source)
        steps = training.steps or PASSES * math.ceil(len(data) / training.batch_size)
        live, averages = live_copies(steps, training.ema_half_life, generator=kept)
        image = cast(Generator, live["generator"])
        final = training.lr_decay ** (steps * training.batch_size / len(data))
        for network in (nets.content, appearance, image, judge):
            network.train()
        losses = SourceLosses(
            nets.content,
            appearance,
            image,
            judge,
            training,
            prior_std=self.config.prior_std,
            cross=training.cross_adversarial,
        )
        return Stage(
            name="source",
            steps=steps,
            batches=self._source_batches(data, training, share),
            groups={
                "encoders": group(training.lr, nets.content, appearance, final=final),
                "generator": group(training.lr, image, final=final),
                "discriminator": group(training.lr, judge, final=final),
            },
            phases=source_phases(losses, training),
            modules={"content": nets.content, "appearance": appearance, "generator": image, "discriminator": judge},
            on_step=[self.marker("source", bn=training.bn)],
            preview=self.preview("source", preview_seeds),
            **averages,
        )

    def _source_batches(self, data: SourceData, training: LaDoTraining, share: dict[str, Any]) -> Batches:
        streams: dict[str, Batches] = {"images": self.batches(data.images, training, **share)}
        if data.pairs is not None:
            options: dict[str, Any] = {"flip": training.flip, **share}
            streams["pairs"] = self.shot_batches(data.pairs.rows, training.batch_size, **options)
        return Together(streams)

    def _alignment_stage(self, batches: Together, training: LaDoFineTuning) -> Stage:
        nets = self.generator
        appearance, image = cast(Encoder, nets.appearance.source), cast(Generator, nets.image.source)
        judge = cast(ResidualDiscriminator, cast(Domains, self.discriminator).source)
        nets.content.train()
        losses = SourceLosses(nets.content, appearance, image, judge, training, prior_std=self.config.prior_std)
        return Stage(
            name="align",
            steps=training.align_steps,
            batches=batches,
            groups={"content": group(training.lr, nets.content)},
            phases=alignment_phases(losses, training),
            modules={"content": nets.content},
        )

    def _target_stage(
        self,
        shots: RowBatches,
        training: LaDoFineTuning,
        perception: Perception,
        count: int,
        preview_seeds: Sequence[int],
    ) -> Stage:
        nets = self.generator
        appearance, kept = cast(Encoder, nets.appearance.target), cast(Generator, nets.image.target)
        steps = training.steps or PASSES * math.ceil(count / training.batch_size)
        live, averages = live_copies(steps, training.ema_half_life, generator=kept)
        image = cast(Generator, live["generator"])
        judge = cast(ResidualDiscriminator, cast(Domains, self.discriminator).target)
        nets.content.eval().requires_grad_(False)
        for network in (appearance, image, judge):
            network.train()
        losses = TargetLosses(
            nets.content,
            appearance,
            image,
            judge,
            perception,
            prior_std=self.config.prior_std,
            noise=training.noise_adversarial,
        )
        return Stage(
            name="target",
            steps=steps,
            batches=shots,
            groups={
                "appearance": group(training.lr, appearance),
                "generator": group(training.lr, image),
                "discriminator": group(training.lr, judge),
            },
            phases=target_phases(losses, training),
            modules={"appearance": appearance, "generator": image, "discriminator": judge},
            on_step=[self.marker("target", bn=training.bn)],
            preview=self.preview("both", preview_seeds),
            **averages,
        )
