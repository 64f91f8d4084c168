"""PFS-GAN as a system: appearance and content codes, a target domain learnt from K pairs and source images.

Teng, Chen and Chiu, "Domain Adaptation for Learning Generator from Paired Few-Shot Data", ICASSP 2021.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch

from lowshotgan.data.batches import Together
from lowshotgan.data.images import from_uint8
from lowshotgan.data.pairs import PairSet
from lowshotgan.errors import ConfigError
from lowshotgan.nets.pfsgan import CodeEncoder, Generator, PatchDiscriminator, Relation, make_discriminator
from lowshotgan.systems.mixing import MixingNetworks, MixingSystem
from lowshotgan.systems.paired_data import SourceData
from lowshotgan.systems.paired_training import live_copies
from lowshotgan.systems.perception import Perception
from lowshotgan.systems.pfsgan.colour_shift import ColourShift
from lowshotgan.systems.pfsgan.config import PFSGANConfig, PFSGANFineTuning, PFSGANTraining
from lowshotgan.systems.pfsgan.features import load_features, start_encoders
from lowshotgan.systems.pfsgan.stages import (
    Latch,
    SourceLosses,
    TargetLosses,
    parameters,
    source_phases,
    target_phases,
)
from lowshotgan.systems.torchvision_weights import need_file
from lowshotgan.types import ParamGroup, Stage

PASSES = 100
"""Over the source images; the paper gives no length."""


class PFSGANNetworks(MixingNetworks):
    """A shared content encoder, and per domain an appearance encoder and a generator."""

    content: CodeEncoder

    def __init__(self, config: PFSGANConfig) -> None:
        size = config.resolution
        encoder: dict[str, Any] = {"kind": config.encoder, "width": config.encoder_width}
        super().__init__(
            CodeEncoder(size, code_dim=config.content_dim, **encoder),
            CodeEncoder(size, code_dim=config.appearance_dim, **encoder),
            Generator(
                size, code_dim=config.appearance_dim + config.content_dim, width=config.width, channels=config.channels
            ),
            adapted=config.adapted,
        )


class PFSGAN(MixingSystem):
    """An image is an appearance code and a content code; a relation network compares contents across domains.

    Attributes:
        generator: content encoder, appearance encoders and generators.
        discriminator: that of the source domain, or ``None`` if the weights came without; fine-tuning needs none.
    """

    system = "pfsgan"
    order = ("appearance", "content")
    Config = PFSGANConfig
    Training = PFSGANTraining
    FineTuning = PFSGANFineTuning
    config: PFSGANConfig
    generator: PFSGANNetworks

    def __init__(self, config: PFSGANConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = PFSGANNetworks(config)
        self.discriminator = make_discriminator(config.resolution, width=config.width, channels=config.channels)

    def stages(
        self,
        data: SourceData,
        training: PFSGANTraining | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        preview_seeds: Sequence[int] = range(64),
    ) -> Iterator[Stage]:
        """Stage 1: the source model, from many source images."""
        training = training or PFSGANTraining()
        if data.pairs is not None:
            raise ConfigError(f"{self.arch} is trained on source images alone; give the pairs to finetune().")
        judge, nets = self.need_judges(), self.generator
        appearance, kept = cast(CodeEncoder, nets.appearance.source), cast(Generator, nets.image.source)
        steps = training.steps or PASSES * math.ceil(len(data) / training.batch_size)
        live, averages = live_copies(steps, training.ema_half_life, generator=kept)
        image = cast(Generator, live["generator"])
        if self.config.encoder == "vgg" and self.source_name is None and "training" not in self.details:
            self.details["encoder_init"] = start_encoders(training.encoder_init, nets.content, appearance)
        features = load_features(training.features, self.device)
        self.details["perceptual"] = features.name
        for network in (nets.content, appearance, image, judge):
            network.train()
        latch = Latch("autoencoder/IR", training.adversarial_from, self.device)
        losses = SourceLosses(nets.content, appearance, image, judge, features, training, latch)
        autoencoder = ParamGroup(
            parameters(image, nets.content, appearance),
            lr=training.lr,
            betas=(0.9, 0.999),
            other_betas=[(parameters(image), (0.5, 0.999))],
        )
        stage = Stage(
            name="source",
            steps=steps,
            batches=self.batches(data.images, training, seed=seed, rank=rank, world_size=world_size),
            groups={
                "autoencoder": autoencoder,
                "discriminator": ParamGroup(parameters(judge), lr=training.lr, betas=(0.5, 0.9)),
            },
            phases=source_phases(losses, training),
            modules={"content": nets.content, "appearance": appearance, "generator": image, "discriminator": judge},
            state={"latch": latch},
            on_step=[latch, self.marker("source", bn=training.bn)],
            preview=self.preview("source", preview_seeds),
            **averages,
        )
        return iter([stage])

    def check_networks(self, training: PFSGANFineTuning) -> None:
        """The discriminator is not needed; the codes must have one length where one encoder begins as the other."""
        if training.features == "vgg":
            need_file("vgg16", instead="features='lsg1'")
        if training.appearance_init == "content" and self.config.content_dim != self.config.appearance_dim:
            raise ConfigError(
                f"appearance_init='content' needs codes of one length, but content_dim is {self.config.content_dim} "
                f"and appearance_dim {self.config.appearance_dim}; use 'appearance'."
            )

    def perceive(self, training: Any) -> Perception:
        return load_features(training.features, self.device)

    def _finetune_stages(
        self,
        pairs: PairSet,
        training: PFSGANFineTuning,
        perception: Perception,
        preview_seeds: Sequence[int],
        share: dict[str, Any],
    ) -> Iterator[Stage]:
        """Stage 2: the target from pairs and source images, which are replayed where none are given."""
        nets = self.generator
        self.settle()
        self.begin_target(nets.appearance, nets.image)
        if training.appearance_init == "content":
            nets.appearance.target = copy.deepcopy(nets.content)
        self.eval().requires_grad_(False)
        rows = self.rows_of(pairs, perception, seed=share["seed"])
        shots = self.shot_batches(rows, training.batch_size, flip=training.flip, **share)
        images = self.source_batches(pairs.images, training.source_batch_size, flip=training.flip, **share)
        shift = ColourShift.of(from_uint8(rows["target"]), strength=training.shift)
        yield self._target_stage(
            Together({"images": images, "pairs": shots}),
            shift,
            training,
            perception,
            preview_seeds,
            share["seed"],
        )

    def _target_stage(
        self,
        batches: Together,
        shift: ColourShift,
        training: PFSGANFineTuning,
        perception: Perception,
        preview_seeds: Sequence[int],
        seed: int,
    ) -> Stage:
        nets, config = self.generator, self.config
        appearance, kept = cast(CodeEncoder, nets.appearance.target), cast(Generator, nets.image.target)
        live, averages = live_copies(training.steps, training.ema_half_life, generator=kept)
        image = cast(Generator, live["generator"])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            judge = PatchDiscriminator(config.resolution, width=config.width, channels=config.channels).to(self.device)
        relation = Relation(nets.content)
        for network in (appearance, image, judge, relation):
            network.train()
        losses = TargetLosses(
            nets.content,
            appearance,
            cast(Generator, nets.image.source),
            image,
            judge,
            relation,
            perception,
            shift,
            training,
        )
        lr, betas = training.lr, (0.5, 0.9)
        return Stage(
            name="target",
            steps=training.steps,
            batches=batches,
            groups={
                "target": ParamGroup(parameters(image, appearance), lr=lr, betas=betas),
                "relation": ParamGroup(parameters(relation), lr=lr, betas=betas),
                "discriminator": ParamGroup(parameters(judge), lr=lr, betas=(0.0, 0.9)),
            },
            phases=target_phases(losses, training),
            modules={"appearance": appearance, "generator": image, "relation": relation, "discriminator": judge},
            on_step=[self.marker("target", bn=training.bn)],
            preview=self.preview("both", preview_seeds),
            **averages,
        )
