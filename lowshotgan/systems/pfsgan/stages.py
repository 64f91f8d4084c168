"""The stages of PFS-GAN (Teng, Chen and Chiu, ICASSP 2021): source model, target model.

source  discriminator, several times -> generator and both encoders in one step
target  patch discriminator, several times -> relation network -> generator and appearance encoder; all on the same images
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowshotgan.losses.adversarial import hinge_generator
from lowshotgan.losses.codes import divergence_from_normal
from lowshotgan.losses.reconstruction import absolute_difference, squared_difference
from lowshotgan.nets.gradients import with_graph
from lowshotgan.nets.lado import Codes
from lowshotgan.nets.pfsgan import CodeEncoder, Generator, PatchDiscriminator, Relation
from lowshotgan.nets.residual import ResidualDiscriminator
from lowshotgan.processes import mean_over_processes
from lowshotgan.systems.perception import Perception
from lowshotgan.systems.pfsgan.colour_shift import LEVELS, ColourShift
from lowshotgan.systems.pfsgan.config import PFSGANFineTuning, PFSGANTraining
from lowshotgan.types import Batch, Phase

Terms = dict[str, Tensor]
KEPT = 3
"""Feature maps that are compared: relu1_2, relu2_2 and relu3_3 of VGG-16."""


class Latch:
    """Off until the logged value of ``name`` is below ``threshold`` once; carried in checkpoints."""

    def __init__(self, name: str, threshold: float, device: torch.device) -> None:
        self.name, self.threshold, self.device = name, threshold, device
        self.on = False

    def __call__(self, step: int, log: dict[str, float]) -> None:
        if not self.on:
            value = mean_over_processes(torch.tensor(log[self.name], device=self.device))
            self.on = bool(value < self.threshold)

    def state_dict(self) -> dict[str, Any]:
        return {"on": self.on}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.on = bool(state["on"])


class SourceLosses:
    """Loss terms of stage 1; the batch is source images."""

    def __init__(
        self,
        content: CodeEncoder,
        appearance: CodeEncoder,
        generator: Generator,
        discriminator: ResidualDiscriminator,
        features: Perception,
        training: PFSGANTraining,
        latch: Latch,
    ) -> None:
        self.content, self.appearance = content, appearance
        self.generator, self.discriminator = generator, discriminator
        self.features, self.training, self.latch = features, training, latch

    def discriminator_terms(self, batch: Batch) -> Terms:
        """Real images against images from noise and reconstructions; nothing until the latch is on."""
        if not self.latch.on:
            return {}
        images = batch.images
        with torch.no_grad():
            codes = torch.cat([sampled(self.appearance(images), batch), sampled(self.content(images), batch)], dim=1)
            fakes = [self.generator(batch.draws.normal(*codes.shape)), self.generator(codes)]
        real = torch.relu(1 - self.discriminator(images)).mean(dim=1)
        called = [torch.relu(1 + self.discriminator(fake)).mean(dim=1) for fake in fakes]
        return {"adversarial": real + 0.5 * (called[0] + called[1])}

    def autoencoder_terms(self, batch: Batch) -> Terms:
        """Reconstruction, content under a random appearance, that appearance read back, divergence; discriminator."""
        images, weight = batch.images, self.training.feature_weight
        contents, appearances = self.content(images), self.appearance(images)
        content, appearance = sampled(contents, batch), sampled(appearances, batch)
        random = batch.draws.normal(*appearance.shape)
        redrawn = self.generator(torch.cat([appearance, content], dim=1))
        mixed = self.generator(torch.cat([random, content], dim=1))
        with torch.no_grad():
            wanted = self.features.maps(images)[:KEPT]
        maps = zip(self.features.maps(redrawn), wanted, strict=False)
        differences = torch.stack([absolute_difference(ours, theirs) for ours, theirs in maps]).sum(dim=0)
        kept = self.features.maps(mixed)[KEPT - 1]
        image = squared_difference(redrawn, images) + absolute_difference(redrawn, images) + weight * differences
        terms = {
            "IR": image,
            "PERC": squared_difference(kept, wanted[KEPT - 1]),
            "LAT": squared_difference(sampled(self.appearance(mixed), batch), random),
            "KL": divergence(contents) + divergence(appearances),
        }
        return terms | (self._adversarial(appearance, content, batch) if self.latch.on else {})

    def _adversarial(self, appearance: Tensor, content: Tensor, batch: Batch) -> Terms:
        """The generator alone is asked to please the discriminator, not the encoders."""
        codes = torch.cat([appearance, content], dim=1).detach()
        fakes = [self.generator(batch.draws.normal(*codes.shape)), self.generator(codes)]
        called = [hinge_generator(self.discriminator(fake)) for fake in fakes]
        return {"adversarial": 0.5 * (called[0] + called[1])}


@dataclass(frozen=True)
class Drawn:
    """What one step of stage 2 draws; k counts pairs, j further source images.

    Attributes:
        shots: y and ``shifted`` y' ``(K, 3, R, R)``.
        redrawn: of ``shots``, ``redrawn_shifted`` of ``shifted``.
        novel: contents j in the appearance of shots, ``novel_shifted`` in that of shifted ones, ``(J, 3, R, R)``.
        appearances: of ``shifted``, and the sample ``appearance (K, A)`` of it.
        paired: content means of source partners ``(K, D)``; ``further`` of the other source images, ``twins`` of
            what the source generator draws with their content, ``(J, D)``.
    """

    shots: Tensor
    shifted: Tensor
    redrawn: Tensor
    redrawn_shifted: Tensor
    novel: Tensor
    novel_shifted: Tensor
    appearances: Codes
    appearance: Tensor
    paired: Tensor
    further: Tensor
    twins: Tensor


class TargetLosses:
    """Loss terms of stage 2; the batch has source ``images`` and pairs ``source`` and ``target``."""

    def __init__(
        self,
        content: CodeEncoder,
        appearance: CodeEncoder,
        source: Generator,
        generator: Generator,
        judge: PatchDiscriminator,
        relation: Relation,
        features: Perception,
        shift: ColourShift,
        training: PFSGANFineTuning,
    ) -> None:
        self.content, self.appearance, self.source, self.generator = content, appearance, source, generator
        self.judge, self.relation = judge, relation
        self.features, self.shift, self.training = features, shift, training
        self._drawn: deque[Drawn] = deque()

    def first_judge_terms(self, batch: Batch) -> Terms:
        """Draw what all phases of the step see, and judge it."""
        with with_graph(self.generator), with_graph(self.appearance):
            self._drawn.append(self._draw(batch))
        return self._judged(self._drawn[-1])

    def judge_terms(self, batch: Batch) -> Terms:
        """Redrawn shots against new content, patch by patch and as whole images."""
        return self._judged(self._next())

    def relation_terms(self, batch: Batch) -> Terms:
        """Partners have the same content; other images are as far from a shot as they are within the source domain."""
        drawn = self._next()
        anchor = drawn.shifted if self.training.anchor == "shot" else drawn.novel_shifted.detach()
        known = (drawn.further - drawn.paired[:1]).square()
        return {
            "same": _size(self.relation(drawn.paired, drawn.shifted)),
            "other": _size(self.relation(drawn.twins, anchor[:1]) - known),
        }

    def target_terms(self, batch: Batch) -> Terms:
        """Redrawn shots, their appearance read back, the discriminator, and the relations of new content."""
        drawn = self._next()
        if not self.training.relation_joint:
            self._drawn.pop()
        verdict = self.judge(drawn.novel)
        read = sampled(self.appearance(drawn.redrawn_shifted), batch)
        return {
            "IR": self._difference(drawn.redrawn_shifted, drawn.shifted),
            "PLAIN": self._difference(drawn.redrawn, drawn.shots),
            "LAT": squared_difference(drawn.appearance, read),
            "KL": divergence(drawn.appearances),
            "patches": hinge_generator(verdict.patches),
            "image": hinge_generator(verdict.image),
        } | self._relations(drawn, drawn.novel_shifted)

    def joint_terms(self, batch: Batch) -> Terms:
        """The generator's relations once more, for the relation network itself (a quirk of the release)."""
        drawn = self._drawn.popleft()
        return self._relations(drawn, drawn.novel_shifted.detach())

    def _draw(self, batch: Batch) -> Drawn:
        images, shots = batch.images["images"], batch.images["target"]
        shifted = self.shift(shots, batch.draws.integers(LEVELS, len(shots), 2))
        with torch.no_grad():
            paired, further = self.content(batch.images["source"]), self.content(images)
            known, new = sampled(paired, batch), sampled(further, batch)
        plain, moved = self.appearance(shots), self.appearance(shifted)
        own, appearance = sampled(plain, batch), sampled(moved, batch)
        with torch.no_grad():
            noise = batch.draws.normal(len(images), own.shape[1])
            twins = self.content(self.source(torch.cat([noise, new], dim=1))).mean
        rows = torch.arange(len(images), device=shots.device) % len(shots)  # appearances are repeated
        return Drawn(
            shots,
            shifted,
            self._image(own, known),
            self._image(appearance, known),
            self._image(own[rows], new),
            self._image(appearance[rows], new),
            moved,
            appearance,
            paired.mean,
            further.mean,
            twins,
        )

    def _image(self, appearance: Tensor, content: Tensor) -> Tensor:
        drawn: Tensor = self.generator(torch.cat([appearance, content], dim=1))
        return drawn

    def _next(self) -> Drawn:
        """The next micro-batch of the step, which stays in the queue for the following phases."""
        drawn = self._drawn.popleft()
        self._drawn.append(drawn)
        return drawn

    def _judged(self, drawn: Drawn) -> Terms:
        real, novel = self.judge(drawn.redrawn.detach()), self.judge(drawn.novel.detach())
        whole = real.image if self.training.real_image == "redrawn" else novel.image
        return {
            "patches": torch.relu(1 - real.patches).mean() + torch.relu(1 + novel.patches).mean(),
            "image": torch.relu(1 - whole).mean() + torch.relu(1 + novel.image).mean(),
        }

    def _difference(self, images: Tensor, target: Tensor) -> Tensor:
        """Squared difference of images and of the second feature map, ``(B,)``."""
        with torch.no_grad():
            wanted = self.features.maps(target)[1]
        features = squared_difference(self.features.maps(images)[1], wanted)
        return squared_difference(images, target) + self.training.feature_weight * features

    def _relations(self, drawn: Drawn, novel: Tensor) -> Terms:
        """New content keeps its distance from its twin, which is none, and from the contents of the pairs."""
        known = (drawn.paired - drawn.further[:1]).square()
        same, other = self.relation(drawn.twins, novel), self.relation(drawn.paired, novel[:1]) - known
        return {"REL": _size(same).mean() + _size(other).mean()}


def source_phases(losses: SourceLosses, training: PFSGANTraining) -> list[Phase]:
    """One step of stage 1."""
    weight = training.adversarial_weight
    judge = Phase("discriminator", "discriminator", losses.discriminator_terms, {"adversarial": weight})
    weights = {
        "IR": 1.0,
        "PERC": training.feature_weight,
        "LAT": training.code_weight,
        "KL": training.kl_weight,
        "adversarial": weight,
    }
    autoencoder = Phase("autoencoder", "autoencoder", losses.autoencoder_terms, weights)
    return [judge] * training.discriminator_updates + [autoencoder]


def target_phases(losses: TargetLosses, training: PFSGANFineTuning) -> list[Phase]:
    """One step of stage 2."""
    judged = {"patches": 1.0, "image": training.image_weight}
    whole, adversarial = training.reconstruction_weight, training.adversarial_weight
    weights = {
        "IR": whole,
        "PLAIN": whole * training.plain_weight,
        "LAT": whole * training.code_weight,
        "KL": whole * training.kl_weight,
        "patches": adversarial,
        "image": adversarial * training.image_weight,
        "REL": training.relation_weight,
    }
    again = Phase("discriminator", "discriminator", losses.judge_terms, judged)
    phases = [
        Phase("discriminator", "discriminator", losses.first_judge_terms, judged),
        *[again] * (training.discriminator_updates - 1),
        Phase("relation", "relation", losses.relation_terms, {"same": 1.0, "other": 1.0}),
        Phase("target", "target", losses.target_terms, weights),
    ]
    joint = Phase("relation_joint", "relation", losses.joint_terms, {"REL": training.relation_weight})
    return [*phases, joint] if training.relation_joint else phases


def parameters(*networks: nn.Module) -> list[nn.Parameter]:
    return [parameter for network in networks for parameter in network.parameters()]


def sampled(codes: Codes, batch: Batch) -> Tensor:
    """One sample of each code, with the noise of the step."""
    return codes.sample(batch.draws.normal(*codes.mean.shape))


def divergence(codes: Codes) -> Tensor:
    """``(B,)`` divergences from the prior, a mean over the elements of a code."""
    return divergence_from_normal(*codes) / codes.mean.shape[1]


def _size(values: Tensor) -> Tensor:
    return values.abs().mean(dim=1)
