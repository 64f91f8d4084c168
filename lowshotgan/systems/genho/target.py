"""Steps 2 to 5 of GenHo: the target domain, from K pairs and source images (given, or drawn by the base)."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from lowshotgan.data.batches import Together
from lowshotgan.data.images import from_uint8
from lowshotgan.data.pairs import PairSet
from lowshotgan.data.streams import RowBatches
from lowshotgan.nets.domains import Domains
from lowshotgan.nets.genho import ContentDiscriminator
from lowshotgan.systems.genho.config import GenHoFineTuning
from lowshotgan.systems.genho.search import nearest_latents, refine_latents
from lowshotgan.systems.genho.stages import EncoderLosses, RedrawingLosses, encoder_phases, redrawing_phases
from lowshotgan.systems.paired_training import group, live_copies
from lowshotgan.systems.perception import Perception
from lowshotgan.types import Batch, Stage

if TYPE_CHECKING:
    from lowshotgan.systems.genho.system import GenHo

PASSES = 100
"""Over the data, where the release counts in epochs."""
ENCODER_STEPS = 2000
LOW_RATE = 0.1


class TargetLearning:
    """What the steps share: the system, the pairs and the settings.

    Args:
        system: with a target domain that has been begun.
        pairs: the shots; partners that are not given are searched.
        training: the settings.
        perception: the distance V.
        preview_seeds: drawn while training.
        share: seed, rank and world size of this process.
    """

    def __init__(
        self,
        system: "GenHo",
        pairs: PairSet,
        training: GenHoFineTuning,
        perception: Perception,
        preview_seeds: Sequence[int],
        share: dict[str, Any],
    ) -> None:
        self.system, self.pairs, self.training, self.perception = system, pairs, training, perception
        self.preview_seeds, self.share = preview_seeds, share
        self.rows = system.rows_of(pairs, perception, seed=share["seed"])

    def encoder_stage(self) -> Stage:
        """Step 2, everything but the encoder and the judge of content maps frozen and in evaluation mode."""
        config, nets, training = self.system.config, self.system.generator, self.training
        widths = {"width_base": config.width_base, "width_max": config.width_max}
        judge = seeded(lambda: ContentDiscriminator(config.side, **widths), self.share["seed"], self.system.device)
        judge.train()
        nets.encoder.train()
        losses = EncoderLosses(
            nets.encoder,
            judge,
            nets.content.source,
            nets.image.source,
            self.perception,
            z_dim=self.system.z_dim,
            pair_every=training.pair_every,
        )
        images = self.system.source_batches(self.pairs.images, training.batch_size, flip=training.flip, **self.share)
        return Stage(
            name="content_encoder",
            steps=training.encoder_steps or encoder_steps(self.pairs, training),
            batches=Together({"images": images, "pairs": self._shots("source", "target")}),
            groups={
                "encoder": group(training.lr, nets.encoder, final=training.lr_final),
                "judge": group(training.lr, judge, final=training.lr_final),
            },
            phases=encoder_phases(losses, training),
            modules={"encoder": nets.encoder, "judge": judge},
        )

    def appearance_stage(self, judge: nn.Module) -> Stage:
        """Step 3: the target's appearance generator learns to redraw the shots from their encoded content."""
        encoder, steps = self.system.generator.encoder, self._steps(self.training.appearance_steps)
        nets, averages = live_copies(steps, self.training.ema_half_life, image=self._image())
        image = nets["image"]

        def redraw(batch: Batch) -> Tensor:
            with torch.no_grad():
                maps = encoder(batch.images["target"])
            return cast(Tensor, image(maps))

        losses = RedrawingLosses(redraw, judge, self.perception, names=("AR", "IA"))
        return self._redrawing_stage("appearance", steps, losses, judge, self._shots("target"), nets, averages)

    def search(self) -> Tensor:
        """Step 4: latents ``(K, z_dim)`` for the shots."""
        system, training = self.system, self.training
        nets = system.generator.eval()
        kinds = ("source", "target") if training.prior_query == "both" else (training.prior_query,)
        shots = {kind: from_uint8(self.rows[kind]).to(system.device) for kind in ("source", "target")}
        with torch.no_grad():
            queries = [nets.encoder(shots[kind]) for kind in kinds]
        found = nearest_latents(
            queries, nets.content.source, z_dim=system.z_dim, bank=training.bank, seed=self.share["seed"]
        )
        if not training.refine_steps:
            return found
        return refine_latents(found, self._replay, self.perception, shots["source"], training.refine_steps)

    def joint_stage(self) -> Stage:
        """Step 5: the same from the latents found for the shots, which is what is drawn from later."""
        steps, content = self._steps(self.training.steps), self.system.content_of("target")
        trained = {"image": self._image()} | ({"content": content} if self.system.config.own_content else {})
        nets, averages = live_copies(steps, self.training.ema_half_life, **trained)
        image, content = nets["image"], nets.get("content", content)
        judge = cast(nn.Module, cast(Domains, self.system.discriminator).target)

        def redraw(batch: Batch) -> Tensor:
            codes = batch.images["codes"]
            if self.training.noise_adversarial:
                codes = torch.cat([codes, batch.draws.normal(*codes.shape)])
            return cast(Tensor, image(content(codes)))

        losses = RedrawingLosses(redraw, judge, self.perception, names=("FR", "FA"))
        self.rows["codes"] = self.system.generator.codes.cpu()
        return self._redrawing_stage("joint", steps, losses, judge, self._shots("target", "codes"), nets, averages)

    def _redrawing_stage(
        self,
        name: str,
        steps: int,
        losses: RedrawingLosses,
        judge: nn.Module,
        shots: RowBatches,
        nets: Mapping[str, nn.Module],
        averages: Mapping[str, Any],
    ) -> Stage:
        """What steps 3 and 5 share; ``nets`` are the appearance generator "image" and perhaps one of "content", with
        ``averages`` as ``live_copies`` gives both."""
        training = self.training
        final = training.lr_final
        for network in (*nets.values(), judge):
            network.train().requires_grad_(True)
        groups = {
            "generator": group(training.lr, nets["image"], final=final),
            "discriminator": group(training.lr, judge, final=final),
        }
        if "content" in nets:
            factor = LOW_RATE if training.train_content == "low_lr" else 1.0
            groups["content"] = group(factor * training.lr, nets["content"], final=final)
        return Stage(
            name=name,
            steps=steps,
            batches=shots,
            groups=groups,
            phases=redrawing_phases(losses, training, content="content" in nets),
            modules={**nets, "discriminator": judge},
            on_step=[self.system.marker("target", bn=training.bn)],
            preview=self.system.preview("both", self.preview_seeds),
            **averages,
        )

    def _shots(self, *shown: str) -> RowBatches:
        rows = {name: self.rows[name] for name in shown}
        return self.system.shot_batches(rows, self.training.batch_size, **self.share)

    def _steps(self, wanted: int | None) -> int:
        return wanted or PASSES * math.ceil(len(self.pairs) / self.training.batch_size)

    def _image(self) -> nn.Module:
        return cast(nn.Module, self.system.generator.image.target)

    def _replay(self, latents: Tensor) -> Tensor:
        return self.system.draw(latents, "source")


def encoder_steps(pairs: PairSet, training: GenHoFineTuning) -> int:
    """Steps of the content encoder where the settings leave them open."""
    count = 0 if pairs.images is None else len(pairs.images)
    return max(ENCODER_STEPS, training.encoder_passes * math.ceil(count / training.batch_size))


def seeded(build: Callable[[], nn.Module], seed: int, device: torch.device) -> nn.Module:
    """A new network on ``device`` whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
    return network.to(device)
