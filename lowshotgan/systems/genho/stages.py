"""Loss terms of GenHo's trained steps (Kao et al., ICPR 2020); in each, the discriminator's phase comes first.

1 source           G, D on source images
2 content_encoder  E_c, D_c on source images; the frozen generator's content maps are what is real
3 appearance       G_A of the target and a new D on encoded shots
5 joint            G_A of the target and D on the latents that the search (step 4) found for the shots
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lowshotgan.losses.adversarial import logistic_generator
from lowshotgan.losses.codes import divergence_from_normal
from lowshotgan.losses.reconstruction import absolute_difference, squared_difference
from lowshotgan.nets.lado import Encoder
from lowshotgan.systems.genho.config import GenHoFineTuning, GenHoTraining
from lowshotgan.systems.perception import Perception
from lowshotgan.types import Batch, Phase

Terms = dict[str, Tensor]


class WarmUpLosses:
    """Before step 1, not in the paper: source images redrawn by the generator from what ``encoder`` finds in them."""

    def __init__(self, encoder: Encoder, generator: Callable[[Tensor], Tensor], *, kl_weight: float) -> None:
        self.encoder, self.generator, self.kl_weight = encoder, generator, kl_weight

    def terms(self, batch: Batch) -> Terms:
        """``anchor``: absolute difference of redrawn images plus the weighted divergence of codes from the prior."""
        codes = self.encoder(batch.images)
        redrawn = self.generator(codes.sample(batch.draws.normal(*codes.mean.shape)))
        return {"anchor": absolute_difference(redrawn, batch.images) + self.kl_weight * divergence_from_normal(*codes)}


class SourceLosses:
    """Step 1; the batch is source images. With ``anchor``, the generator also goes on redrawing them."""

    def __init__(
        self,
        generator: Callable[[Tensor], Tensor],
        discriminator: nn.Module,
        *,
        z_dim: int,
        anchor: WarmUpLosses | None = None,
    ) -> None:
        self.generator, self.discriminator, self.z_dim, self.anchor = generator, discriminator, z_dim, anchor

    def discriminator_terms(self, batch: Batch) -> Terms:
        with torch.no_grad():
            fake = self.generator(batch.draws.normal(len(batch.images), self.z_dim))
        return {"adversarial": judged(self.discriminator, batch.images, fake)}

    def generator_terms(self, batch: Batch) -> Terms:
        fake = self.generator(batch.draws.normal(len(batch.images), self.z_dim))
        terms = {"adversarial": logistic_generator(self.discriminator(fake))}
        return terms | (self.anchor.terms(batch) if self.anchor is not None else {})


class EncoderLosses:
    """Step 2; the batch has source ``images`` and pairs ``source`` and ``target``."""

    def __init__(
        self,
        encoder: nn.Module,
        judge: nn.Module,
        content: nn.Module,
        image: nn.Module,
        perception: Perception,
        *,
        z_dim: int,
        pair_every: int,
    ) -> None:
        self.encoder, self.judge, self.content, self.image = encoder, judge, content, image
        self.perception, self.z_dim, self.pair_every = perception, z_dim, pair_every

    def judge_terms(self, batch: Batch) -> Terms:
        """Content maps drawn from noise are called real, encoded ones are not."""
        images = batch.images["images"]
        with torch.no_grad():
            real = self.content(batch.draws.normal(len(images), self.z_dim))
            fake = self.encoder(images)
        return {"CA": judged(self.judge, real, fake)}

    def encoder_terms(self, batch: Batch) -> Terms:
        """Encoded maps pass for drawn ones, redraw their image, and now and then agree between partners."""
        images = batch.images["images"]
        encoded = self.encoder(images)
        terms = {
            "CA": logistic_generator(self.judge(encoded)),
            "AR": self.perception(self.image(encoded), images),
        }
        if batch.step % self.pair_every == 0:
            source, target = (self.encoder(batch.images[name]) for name in ("source", "target"))
            terms["PS"] = squared_difference(source, target)
        return terms


class RedrawingLosses:
    """Steps 3 and 5; ``redraw`` makes what should be the shots of the batch (its ``target``), and perhaps after those as
    many images from noise, which only have to pass for shots."""

    def __init__(
        self,
        redraw: Callable[[Batch], Tensor],
        discriminator: nn.Module,
        perception: Perception,
        *,
        names: tuple[str, str],
    ) -> None:
        self.redraw, self.discriminator, self.perception, self.names = redraw, discriminator, perception, names

    def discriminator_terms(self, batch: Batch) -> Terms:
        with torch.no_grad():
            fake = self.redraw(batch)
        return {self.names[1]: judged(self.discriminator, batch.images["target"], fake)}

    def generator_terms(self, batch: Batch) -> Terms:
        fake, (distance, adversarial) = self.redraw(batch), self.names
        shots = batch.images["target"]
        return {
            distance: self.perception(fake[: len(shots)], shots),
            adversarial: _per_shot(logistic_generator(self.discriminator(fake)), len(shots)),
        }


def judged(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """``(B,)`` half the cross entropies of a discriminator that sees ``real (B, ...)`` and one or more times as many
    ``fake`` ones in one pass; each kind counts by its mean."""
    on_real, on_fake = discriminator(torch.cat([real, fake])).split([len(real), len(fake)])
    return 0.5 * (logistic_generator(on_real) + _per_shot(logistic_generator(-on_fake), len(real)))


def _per_shot(values: Tensor, count: int) -> Tensor:
    """``(N count,)`` values of N images per shot as their means, ``(count,)``."""
    return values.view(-1, count).mean(dim=0)


def source_phases(losses: SourceLosses, training: GenHoTraining) -> list[Phase]:
    """One step of step 1."""
    weights = {"adversarial": 1.0, "anchor": training.anchor_weight}
    return [
        Phase("discriminator", "discriminator", losses.discriminator_terms, {"adversarial": 1.0}),
        Phase("generator", "generator", losses.generator_terms, weights),
    ]


def encoder_phases(losses: EncoderLosses, training: GenHoFineTuning) -> list[Phase]:
    """One step of step 2."""
    share = training.perceptual_weight
    weights = {"CA": 1 - share, "AR": share, "PS": training.pair_weight}
    return [
        Phase("judge", "judge", losses.judge_terms, {"CA": 1.0}),
        Phase("encoder", "encoder", losses.encoder_terms, weights),
    ]


def redrawing_phases(losses: RedrawingLosses, training: GenHoFineTuning, *, content: bool = False) -> list[Phase]:
    """One step of steps 3 and 5; ``content`` for a content generator that is trained too, in a phase of its own."""
    distance, adversarial = losses.names
    weights = {distance: training.target_weight, adversarial: 1 - training.target_weight}
    phases = [
        Phase("discriminator", "discriminator", losses.discriminator_terms, {adversarial: 1.0}),
        Phase("generator", "generator", losses.generator_terms, weights),
    ]
    return phases + ([Phase("content", "content", losses.generator_terms, weights)] if content else [])
