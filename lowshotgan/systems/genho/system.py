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

from lowshotgan.data.images import from_uint8
from lowshotgan.data.pairs import PairSet
from lowshotgan.errors import ConfigError
from lowshotgan.nets.batch_norm import recompute_batch_norm
from lowshotgan.nets.domains import Domains
from lowshotgan.nets.genho import make_discriminator
from lowshotgan.nets.lado import Encoder
from lowshotgan.systems.genho.config import GenHoConfig, GenHoFineTuning, GenHoTraining
from lowshotgan.systems.genho.networks import GenHoNetworks
from lowshotgan.systems.genho.stages import SourceLosses, WarmUpLosses, source_phases
from lowshotgan.systems.genho.target import PASSES, TargetLearning, seeded
from lowshotgan.systems.paired import STATISTICS_SAMPLES, PairedSystem
from lowshotgan.systems.paired_data import SourceData
from lowshotgan.systems.paired_training import group, live_copies
from lowshotgan.systems.perception import Perception
from lowshotgan.types import Phase, Stage


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
        """Images ``(B, C, R, R)`` of one domain from latents ``(B, z_dim)`` or content maps ``(B, C, L, L)``."""
        latents = latents.to(self.device)
        maps = latents if latents.ndim == 4 else self.content_of(domain)(latents)
        return cast(Tensor, self.generator.image.of(domain)(maps))

    def drawing(self) -> list[Domains]:
        nets = self.generator
        return [nets.content, nets.image] if self.config.own_content else [nets.image]

    def content_codes(self, images: Tensor) -> Tensor | None:
        return cast(Tensor, self.generator.encoder(images))

    def recalibrate(self, domain: str) -> None:
        content, image = self.content_of(domain), self.generator.image.of(domain)
        options: dict[str, Any] = {"z_dim": self.z_dim, "samples": STATISTICS_SAMPLES}
        if domain == "source" or self.config.own_content:
            recompute_batch_norm(nn.Sequential(content, image), **options)
        else:  # the shared half keeps the statistics it was searched with
            recompute_batch_norm(image, before=content.eval(), **options)

    def trained_part(self, domain: str) -> nn.Module:
        if domain == "source" or self.config.own_content:
            return nn.Sequential(self.content_of(domain), self.generator.image.of(domain))
        return self.generator.image.of(domain)

    def encode(self, latents: Tensor, domain: str, *, content: Any = None, **unknown: Any) -> Tensor:
        """Latents as they are, or content maps ``(N, C, L, L)`` of the images ``content``, for which seeds do nothing."""
        if unknown:
            raise ConfigError(f"{self.arch} takes content, but no {', '.join(sorted(unknown))}.")
        if content is None:
            return latents
        pixels = from_uint8(self.read_images(content).uint8())
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
        steps = training.steps or PASSES * math.ceil(len(data) / training.batch_size)
        drawing, averages = live_copies(
            training.warm_up_steps + steps,
            training.ema_half_life,
            content=self.generator.content.source,
            image=self.generator.image.source,
        )
        content, image = drawing["content"], drawing["image"]
        for network in (content, image, judge):
            network.train()
        generator = nn.Sequential(content, image)
        rate: dict[str, float] = {"final": training.lr_final}
        anchor = None
        stages = []
        if training.warm_up_steps:
            encoder = self._new_encoder(seed).train()
            drawing["encoder"] = encoder
            anchor = WarmUpLosses(cast(Encoder, encoder), generator, kl_weight=training.kl_weight)
            stages.append(
                Stage(
                    name="warm_up",
                    steps=training.warm_up_steps,
                    batches=self.batches(data.images, training, seed=seed, rank=rank, world_size=world_size),
                    groups={"generator": group(training.lr, *drawing.values())},
                    phases=[Phase("warm_up", "generator", anchor.terms, {"anchor": 1.0})],
                    modules=dict(drawing),
                    on_step=[self.marker("source", bn=training.bn)],
                    preview=self.preview("source", preview_seeds),
                    **averages,
                )
            )
        losses = SourceLosses(generator, judge, z_dim=self.z_dim, anchor=anchor)
        stages.append(
            Stage(
                name="source",
                steps=steps,
                batches=self.batches(data.images, training, seed=seed, rank=rank, world_size=world_size),
                groups={
                    "generator": group(training.lr, *drawing.values(), **rate),
                    "discriminator": group(training.lr, judge, **rate),
                },
                phases=source_phases(losses, training),
                modules=drawing | {"discriminator": judge},
                on_step=[self.marker("source", bn=training.bn)],
                preview=self.preview("source", preview_seeds),
                **averages,
            )
        )
        return iter(stages)

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
        learning = TargetLearning(self, pairs, training, perception, preview_seeds, share)
        yield learning.encoder_stage()
        nets.encoder.eval().requires_grad_(False)

        judge = self.new_judge(share["seed"])
        yield learning.appearance_stage(judge)
        nets.codes.copy_(learning.search())

        if own:
            nets.content.adapt()
            self.config = replace(self.config, own_content=True)
        judges.target = copy.deepcopy(judge if training.discriminator_init == "appearance" else judges.source)
        yield learning.joint_stage()

    def content_of(self, domain: str) -> nn.Module:
        """The content generator of a domain: the target has one of its own only if it was trained."""
        return self.generator.content.of("target" if domain == "target" and self.config.own_content else "source")

    def new_judge(self, seed: int) -> nn.Module:
        """A new image discriminator on the model's device whose initial weights depend on the seed alone."""
        return seeded(self._new_discriminator, seed, self.device)

    def _new_encoder(self, seed: int) -> nn.Module:
        """What finds latents of images while the source generator warms up; not kept."""
        config = self.config
        width = max(4, config.width_base // 16)
        return seeded(lambda: Encoder(config.resolution, code_dim=config.z_dim, width=width), seed, self.device)

    def _new_discriminator(self) -> nn.Module:
        config = self.config
        widths = {"width_base": config.width_base, "width_max": config.width_max}
        return make_discriminator(config.resolution, **widths, channels=config.channels)
