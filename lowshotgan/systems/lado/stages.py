"""The stages of LaDo (Kao et al., ICPR 2020): source model, alignment of the content encoder, target model.

source  discriminator -> generator on the same fakes -> encoders on a fresh forward pass
align   content encoder alone, everything else frozen
target  discriminator -> generator on the same fakes -> appearance encoder on a fresh forward pass; content frozen
"""

from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lowshotgan.losses.adversarial import logistic_generator
from lowshotgan.losses.codes import divergence_from_normal, pair_gap
from lowshotgan.losses.reconstruction import absolute_difference
from lowshotgan.nets.gradients import with_graph
from lowshotgan.nets.lado import Codes, Encoder, Generator
from lowshotgan.nets.residual import ResidualDiscriminator
from lowshotgan.systems.lado.config import LaDoFineTuning, LaDoTraining
from lowshotgan.systems.perception import Perception
from lowshotgan.types import Batch, Phase

Terms = dict[str, Tensor]


class SourceLosses:
    """Loss terms of stage 1; the batch has ``images`` and perhaps pairs ``source`` and ``target``."""

    def __init__(
        self,
        content: Encoder,
        appearance: Encoder,
        generator: Generator,
        discriminator: ResidualDiscriminator,
        training: LaDoTraining | LaDoFineTuning,
        *,
        prior_std: float,
        cross: bool = False,
    ) -> None:
        self.content, self.appearance = content, appearance
        self.generator, self.discriminator = generator, discriminator
        self.training, self.prior_std, self.cross = training, prior_std, cross
        self._fakes: deque[tuple[Tensor, list[Tensor]]] = deque()

    def discriminator_terms(self, batch: Batch) -> Terms:
        """Real images against reconstructions and images from noise (and crossed pairs if wanted)."""
        images = batch.images["images"]
        with torch.no_grad():
            codes = self._sample(images, batch)
        with with_graph(self.generator):
            fakes = [self.generator(codes), self.generator(self._noise(codes, batch))]
            if self.cross:
                fakes.append(self.generator(self._crossed(batch)))
        self._fakes.append((codes, fakes))
        return {"adversarial": judged_real(self.discriminator, images, [fake.detach() for fake in fakes])}

    def generator_terms(self, batch: Batch) -> Terms:
        """Reconstruction, its codes and the discriminator, on the fakes the discriminator has just seen."""
        codes, fakes = self._fakes.popleft()
        return {
            "IR": absolute_difference(fakes[0], batch.images["images"]),
            "adversarial": judged_fake(self.discriminator, fakes),
            "LR": self._code_difference(fakes[0], codes),
        }

    def encoder_terms(self, batch: Batch) -> Terms:
        """Reconstruction, its codes, divergence from the prior, and the gap between partners."""
        images = batch.images["images"]
        content, appearance = self.content(images), self.appearance(images)
        codes = torch.cat([sampled(content, batch), sampled(appearance, batch)], dim=1)
        redrawn = self.generator(codes)
        return {
            "IR": absolute_difference(redrawn, images),
            "KL": divergence_from_normal(*content) + divergence_from_normal(*appearance),
            "LR": self._code_difference(redrawn, codes),
        } | self._gap(batch)

    def alignment_terms(self, batch: Batch) -> Terms:
        """As ``encoder_terms`` without the divergence, for the content encoder alone."""
        images = batch.images["images"]
        with torch.no_grad():
            appearance = sampled(self.appearance(images), batch)
        codes = torch.cat([sampled(self.content(images), batch), appearance], dim=1)
        redrawn = self.generator(codes)
        return {"IR": absolute_difference(redrawn, images), "LR": self._code_difference(redrawn, codes)} | self._gap(
            batch
        )

    def _gap(self, batch: Batch) -> Terms:
        if "source" not in batch.images:
            return {}
        source, target = (self.content(batch.images[name]).mean for name in ("source", "target"))
        return {"PS": pair_gap(source, target, normalize=self.training.pair_norm)}

    def _sample(self, images: Tensor, batch: Batch) -> Tensor:
        return torch.cat([sampled(self.content(images), batch), sampled(self.appearance(images), batch)], dim=1)

    def _crossed(self, batch: Batch) -> Tensor:
        """Codes with the content of targets and the appearance of their source partners."""
        with torch.no_grad():
            content = sampled(self.content(batch.images["target"]), batch)
            return torch.cat([content, sampled(self.appearance(batch.images["source"]), batch)], dim=1)

    def _noise(self, codes: Tensor, batch: Batch) -> Tensor:
        return self.prior_std * batch.draws.normal(*codes.shape)

    def _code_difference(self, redrawn: Tensor, codes: Tensor) -> Tensor:
        """Difference of content and of appearance codes from those of the redrawn image; means over each code."""
        content, appearance = self.content(redrawn).mean, self.appearance(redrawn).mean
        cut = content.shape[1]
        return absolute_difference(content, codes[:, :cut]) + absolute_difference(appearance, codes[:, cut:])


class TargetLosses:
    """Loss terms of stage 2; the batch has pairs ``source`` and ``target``."""

    def __init__(
        self,
        content: Encoder,
        appearance: Encoder,
        generator: Generator,
        discriminator: ResidualDiscriminator,
        perception: Perception,
        *,
        prior_std: float,
        noise: bool = False,
    ) -> None:
        self.content, self.appearance = content, appearance
        self.generator, self.discriminator = generator, discriminator
        self.perception, self.prior_std, self.noise = perception, prior_std, noise
        self._fakes: deque[list[Tensor]] = deque()

    def discriminator_terms(self, batch: Batch) -> Terms:
        """Real targets against the crossed and the straight reconstruction (and images from noise if wanted)."""
        targets = batch.images["target"]
        with torch.no_grad():
            cross, straight, _ = self._codes(batch)
        with with_graph(self.generator):
            fakes = [self.generator(cross), self.generator(straight)]
            if self.noise:
                fakes.append(self.generator(self.prior_std * batch.draws.normal(*cross.shape)))
        self._fakes.append(fakes)
        return {"adversarial": judged_real(self.discriminator, targets, [fake.detach() for fake in fakes])}

    def generator_terms(self, batch: Batch) -> Terms:
        """Both reconstructions and the discriminator, on the fakes the discriminator has just seen."""
        fakes = self._fakes.popleft()
        return self._redrawn(fakes, batch) | {"adversarial": judged_fake(self.discriminator, fakes)}

    def encoder_terms(self, batch: Batch) -> Terms:
        """Both reconstructions and the divergence of the appearance codes from the prior."""
        cross, straight, appearance = self._codes(batch)
        fakes = [self.generator(cross), self.generator(straight)]
        return self._redrawn(fakes, batch) | {"KL": divergence_from_normal(*appearance)}

    def _codes(self, batch: Batch) -> tuple[Tensor, Tensor, Codes]:
        """Codes of the crossed and the straight reconstruction with one appearance sample, and its distribution."""
        with torch.no_grad():
            source, target = (sampled(self.content(batch.images[name]), batch) for name in ("source", "target"))
        appearance = self.appearance(batch.images["target"])
        sample = sampled(appearance, batch)
        return torch.cat([source, sample], dim=1), torch.cat([target, sample], dim=1), appearance

    def _redrawn(self, fakes: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        targets = batch.images["target"]
        return {"PG": self.perception(fakes[0], targets), "IR": self.perception(fakes[1], targets)}


def source_phases(losses: SourceLosses, training: LaDoTraining) -> list[Phase]:
    """One step of stage 1."""
    shared = {"IR": training.image_weight, "LR": training.code_weight}
    encoders = shared | {"KL": training.kl_weight, "PS": training.pair_weight}
    return [
        Phase("discriminator", "discriminator", losses.discriminator_terms, {"adversarial": 1.0}),
        Phase("generator", "generator", losses.generator_terms, shared | {"adversarial": 1.0}),
        Phase("encoders", "encoders", losses.encoder_terms, encoders),
    ]


def alignment_phases(losses: SourceLosses, training: LaDoFineTuning) -> list[Phase]:
    """One step of the alignment."""
    weights = {"IR": training.image_weight, "LR": training.code_weight, "PS": training.pair_weight}
    return [Phase("content", "content", losses.alignment_terms, weights)]


def target_phases(losses: TargetLosses, training: LaDoFineTuning) -> list[Phase]:
    """One step of stage 2."""
    shared = {"PG": training.cross_weight, "IR": training.straight_weight}
    return [
        Phase("discriminator", "discriminator", losses.discriminator_terms, {"adversarial": 1.0}),
        Phase("generator", "generator", losses.generator_terms, shared | {"adversarial": 1.0}),
        Phase("appearance", "appearance", losses.encoder_terms, shared | {"KL": training.kl_weight}),
    ]


def sampled(codes: Codes, batch: Batch) -> Tensor:
    """One sample of each code, with the noise of the step."""
    return codes.sample(batch.draws.normal(*codes.mean.shape))


def judged_real(discriminator: Callable[[Tensor], Tensor], real: Tensor, fakes: Sequence[Tensor]) -> Tensor:
    """Loss ``()`` of a discriminator: real images against the mean over several batches of fakes, in one pass."""
    logits = discriminator(torch.cat([real, *fakes])).split([len(real), *map(len, fakes)])
    called_real = logistic_generator(logits[0]).mean()  # the cross entropy of the label 1
    return called_real + torch.stack([logistic_generator(-one).mean() for one in logits[1:]]).mean()


def judged_fake(discriminator: Callable[[Tensor], Tensor], fakes: Sequence[Tensor]) -> Tensor:
    """Loss ``()`` of a generator: the mean over several batches of fakes of the cross entropy of calling them real."""
    logits = discriminator(torch.cat(list(fakes))).split([len(one) for one in fakes])
    return torch.stack([logistic_generator(one).mean() for one in logits]).mean()
