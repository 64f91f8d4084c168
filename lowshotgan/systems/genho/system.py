"""GenHo as a system: a generator cut into shared content and replaceable appearance; a target learnt from K pairs.

Kao, Lee and Chiu, "Learning Low-Shot Generative Networks for Cross-Domain Data", ICPR 2020.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8
from lowshotgan.data.pairs import PairSet
from lowshotgan.data.streams import JoinedBatches, RowBatches
from lowshotgan.errors import ConfigError
from lowshotgan.nets.batch_norm import recompute_batch_norm
from lowshotgan.nets.domains import Domains
from lowshotgan.nets.genho import ContentDiscriminator, make_discriminator
from lowshotgan.systems.genho.config import GenHoConfig, GenHoFineTuning, GenHoTraining
from lowshotgan.systems.genho.networks import GenHoNetworks
from lowshotgan.systems.genho.search import nearest_latents, refine_latents
from lowshotgan.systems.genho.stages import (
    EncoderLosses,
    RedrawingLosses,
    SourceLosses,
    encoder_phases,
    group,
    redrawing_phases,
    source_phases,
)
from lowshotgan.systems.paired import STATISTICS_SAMPLES, PairedSystem, SourceData, shots_per_step
from lowshotgan.systems.partners import find_partners
from lowshotgan.systems.perception import Perception
from lowshotgan.types import Batch, Stage

PASSES = 100
"""Over the data, where the release counts in epochs."""
ENCODER_STEPS = 2000
LOW_RATE = 0.1


class GenHo(PairedSystem):
    """Generative hierarchy: a latent becomes content maps, and these an image of either domain.

    Attributes:
        generator: content and appearance generators, content encoder; ``generator.codes`` are the shots' latents.
        discriminator: one per domain, or ``None`` if the weights came without them.
    """

    system = "genho"
    Config = GenHoConfig
    Training = GenHoTraining
    FineTuning = GenHoFineTuning
    config: GenHoConfig
    generator: GenHoNetworks

    def __init__(self, config: GenHoConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = GenHoNetworks(config)
        self.discriminator = Domains(self._new_discriminator(), adapted=config.adapted)

    @property
    def z_dim(self) -> int:
        return self.config.z_dim

    def draw(self, latents: Tensor, domain: str) -> Tensor:
        """Images ``(B, 3, R, R)`` of one domain from latents ``(B, z_dim)`` or content maps ``(B, C, L, L)``."""
        latents = latents.to(self.device)
        maps = latents if latents.ndim == 4 else self._content(domain)(latents)
        return cast(Tensor, self.generator.image.of(domain)(maps))

    def recalibrate(self, domain: str) -> None:
        content, image = self._content(domain), self.generator.image.of(domain)
        options: dict[str, Any] = {"z_dim": self.z_dim, "samples": STATISTICS_SAMPLES}
        if domain == "source" or self.config.own_content:
            recompute_batch_norm(nn.Sequential(content, image), **options)
        else:  # the shared half keeps the statistics it was searched with
            recompute_batch_norm(image, before=content.eval(), **options)

    def trained_part(self, domain: str) -> nn.Module:
        if domain == "source" or self.config.own_content:
            return nn.Sequential(self._content(domain), self.generator.image.of(domain))
        return self.generator.image.of(domain)

    def encode(self, latents: Tensor, domain: str, *, content: Any = None, **unknown: Any) -> Tensor:
        """Latents as they are, or content maps ``(N, C, L, L)`` of the images ``content``, for which seeds do nothing."""
        if unknown:
            raise ConfigError(f"{self.arch} takes content, but no {', '.join(sorted(unknown))}.")
        if content is None:
            return latents
        pixels = from_uint8(load_images(content, resolution=self.config.resolution).uint8())
        return torch.cat([self.generator.encoder(part.to(self.device)) for part in pixels.split(16)])

    def stages(
        self,
        data: SourceData,
        training: GenHoTraining | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        preview_seeds: Sequence[int] = range(64),
    ) -> Iterator[Stage]:
        """Step 1: the source generator and its discriminator, from many source images."""
        training = training or GenHoTraining()
        if data.pairs is not None:
            raise ConfigError(f"{self.arch} is trained on source images alone; give the pairs to finetune().")
        judge = cast(nn.Module, self.need_judges().source)
        content, image = self.generator.content.source, self.generator.image.source
        for network in (content, image, judge):
            network.train()
        losses = SourceLosses(nn.Sequential(content, image), judge, z_dim=self.z_dim)
        rate: dict[str, float] = {"final": training.lr_final}
        stage = Stage(
            name="source",
            steps=training.steps or PASSES * math.ceil(len(data) / training.batch_size),
            batches=self.batches(data.images, training, seed=seed, rank=rank, world_size=world_size),
            groups={
                "generator": group(training.lr, content, image, **rate),
                "discriminator": group(training.lr, judge, **rate),
            },
            phases=source_phases(losses),
            modules={"content": content, "image": image, "discriminator": judge},
            on_step=[self.marker("source", bn=training.bn)],
            preview=self.preview("source", preview_seeds),
        )
        return iter([stage])

    def _finetune_stages(
        self,
        pairs: PairSet,
        training: GenHoFineTuning,
        perception: Perception,
        preview_seeds: Sequence[int],
        share: dict[str, Any],
    ) -> Iterator[Stage]:
        """Steps 2 to 5; step 2 sees the source images given with the pairs, or without any what the base draws."""
        judges, nets = cast(Domains, self.discriminator), self.generator
        self.settle()
        self.begin_target(nets.image, judges)
        nets.content.target = None
        own = training.train_content != "none"
        self.config = replace(self.config, own_content=False, shots=len(pairs))
        nets.codes = torch.zeros(len(pairs), self.z_dim, device=self.device)
        self.eval().requires_grad_(False)
        rows = self._rows(pairs, training, perception, share["seed"])
        yield self._encoder_stage(rows, pairs, training, perception, share)
        nets.encoder.eval().requires_grad_(False)

        judge = self._seeded(self._new_discriminator, share["seed"])
        yield self._appearance_stage(rows, judge, training, perception, preview_seeds, share)
        nets.codes.copy_(self._search(rows, training, perception, share["seed"]))

        if own:
            nets.content.adapt()
            self.config = replace(self.config, own_content=True)
        judges.target = copy.deepcopy(judge if training.discriminator_init == "appearance" else judges.source)
        yield self._joint_stage(rows, training, perception, preview_seeds, share)

    def _encoder_stage(
        self,
        rows: dict[str, Tensor],
        pairs: PairSet,
        training: GenHoFineTuning,
        perception: Perception,
        share: dict[str, Any],
    ) -> Stage:
        """Step 2, everything but the encoder and the judge of content maps frozen and in evaluation mode."""
        config, nets = self.config, self.generator
        judge = self._seeded(
            lambda: ContentDiscriminator(config.side, width_base=config.width_base, width_max=config.width_max),
            share["seed"],
        ).train()
        nets.encoder.train()
        losses = EncoderLosses(
            nets.encoder,
            judge,
            nets.content.source,
            nets.image.source,
            perception,
            z_dim=self.z_dim,
            pair_every=training.pair_every,
        )
        images = self.source_batches(pairs.images, training.batch_size, flip=training.flip, **share)
        shots = self._shots(rows, ("source", "target"), training, share)
        return Stage(
            name="content_encoder",
            steps=training.encoder_steps or self._encoder_steps(pairs, training),
            batches=JoinedBatches({"images": images, "pairs": shots}),
            groups={
                "encoder": group(training.lr, nets.encoder, final=training.lr_final),
                "judge": group(training.lr, judge, final=training.lr_final),
            },
            phases=encoder_phases(losses, training),
            modules={"encoder": nets.encoder, "judge": judge},
        )

    def _appearance_stage(
        self,
        rows: dict[str, Tensor],
        judge: nn.Module,
        training: GenHoFineTuning,
        perception: Perception,
        preview_seeds: Sequence[int],
        share: dict[str, Any],
    ) -> Stage:
        """Step 3: the target's appearance generator learns to redraw the shots from their encoded content."""
        encoder, image = self.generator.encoder, cast(nn.Module, self.generator.image.target)

        def redraw(batch: Batch) -> Tensor:
            with torch.no_grad():
                maps = encoder(batch.images["target"])
            return cast(Tensor, image(maps))

        losses = RedrawingLosses(redraw, judge, perception, names=("AR", "IA"))
        return self._target_stage(
            "appearance", training.appearance_steps, losses, judge, ("target",), rows, training, preview_seeds, share
        )

    def _joint_stage(
        self,
        rows: dict[str, Tensor],
        training: GenHoFineTuning,
        perception: Perception,
        preview_seeds: Sequence[int],
        share: dict[str, Any],
    ) -> Stage:
        """Step 5: the same from the latents found for the shots, which is what is drawn from later."""
        content, image = self._content("target"), cast(nn.Module, self.generator.image.target)
        judge = cast(nn.Module, cast(Domains, self.discriminator).target)

        def redraw(batch: Batch) -> Tensor:
            return cast(Tensor, image(content(batch.images["codes"])))

        losses = RedrawingLosses(redraw, judge, perception, names=("FR", "FA"))
        rows = rows | {"codes": self.generator.codes.cpu()}
        shown = ("target", "codes")
        return self._target_stage(
            "joint", training.steps, losses, judge, shown, rows, training, preview_seeds, share, joint=True
        )

    def _target_stage(
        self,
        name: str,
        steps: int | None,
        losses: RedrawingLosses,
        judge: nn.Module,
        shown: Sequence[str],
        rows: dict[str, Tensor],
        training: GenHoFineTuning,
        preview_seeds: Sequence[int],
        share: dict[str, Any],
        *,
        joint: bool = False,
    ) -> Stage:
        """What steps 3 and 5 share."""
        image, final = cast(nn.Module, self.generator.image.target), training.lr_final
        image.train(), judge.train().requires_grad_(True)
        groups = {
            "generator": group(training.lr, image, final=final),
            "discriminator": group(training.lr, judge, final=final),
        }
        modules = {"image": image, "discriminator": judge}
        with_content = joint and self.config.own_content
        if with_content:
            content = self._content("target").train()
            factor = LOW_RATE if training.train_content == "low_lr" else 1.0
            groups["content"] = group(factor * training.lr, content, final=final)
            modules["content"] = content
        return Stage(
            name=name,
            steps=steps or PASSES * math.ceil(len(rows["target"]) / training.batch_size),
            batches=self._shots(rows, shown, training, share),
            groups=groups,
            phases=redrawing_phases(losses, training, content=with_content),
            modules=modules,
            on_step=[self.marker("target", bn=training.bn)],
            preview=self.preview("both", preview_seeds),
        )

    def _search(self, rows: dict[str, Tensor], training: GenHoFineTuning, perception: Perception, seed: int) -> Tensor:
        """Step 4: latents ``(K, z_dim)`` for the shots."""
        nets, partners = self.generator.eval(), from_uint8(rows["source"]).to(self.device)
        kinds = ("source", "target") if training.prior_query == "both" else (training.prior_query,)
        with torch.no_grad():
            queries = [nets.encoder(from_uint8(rows[kind]).to(self.device)) for kind in kinds]
        found = nearest_latents(queries, nets.content.source, z_dim=self.z_dim, bank=training.bank, seed=seed)
        steps = training.refine_steps
        return refine_latents(found, self._replay, perception, partners, steps) if steps else found

    def _rows(self, pairs: PairSet, training: GenHoFineTuning, perception: Perception, seed: int) -> dict[str, Tensor]:
        """Both partners of every pair, searched if they are not given."""
        rows = dict(pairs.rows)
        if "source" not in rows:
            rows["source"] = find_partners(rows["target"], self._replay, perception, z_dim=self.z_dim, seed=seed)
        return rows

    def _shots(
        self, rows: dict[str, Tensor], shown: Sequence[str], training: GenHoFineTuning, share: dict[str, Any]
    ) -> RowBatches:
        size = shots_per_step(training.batch_size, len(rows["target"]), share["world_size"])
        return RowBatches({name: rows[name] for name in shown}, size, device=self.device, **share)

    def _encoder_steps(self, pairs: PairSet, training: GenHoFineTuning) -> int:
        count = 0 if pairs.images is None else len(pairs.images)
        return max(ENCODER_STEPS, training.encoder_passes * math.ceil(count / training.batch_size))

    def _content(self, domain: str) -> nn.Module:
        return self.generator.content.of("target" if domain == "target" and self.config.own_content else "source")

    def _new_discriminator(self) -> nn.Module:
        config = self.config
        return make_discriminator(config.resolution, width_base=config.width_base, width_max=config.width_max)

    def _seeded(self, build: Any, seed: int) -> nn.Module:
        """A new network on the model's device whose initial weights depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: nn.Module = build()
        return network.to(self.device)
