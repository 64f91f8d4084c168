"""Training EGSC-IT as two stages of the loop (Ma et al., ICLR 2019, section 3 and release).

masks: an auto-encoder with a discriminator for each domain, whose encoders become the frozen style encoders
translation: both directions at once, by adversary, reconstruction, cycle, latents, semantics and style
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowshotgan.draws import Draws
from lowshotgan.losses.adversarial import least_squares_discriminator, least_squares_generator
from lowshotgan.losses.reconstruction import absolute_difference, gram_difference, layout_difference
from lowshotgan.nets.egscit import DOMAINS, AdaIN, Discriminators, Domain, MaskNet, Translator
from lowshotgan.systems.egscit.config import EGSCITTraining
from lowshotgan.systems.frozen_features import FeatureMaps
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage


def mask_stage(
    masks: nn.ModuleDict, discriminators: Discriminators, batches: Batches, training: EGSCITTraining
) -> Stage:
    """Train a mask net for each domain; ``masks`` holds them by "a" and "b"."""
    losses = MaskLosses(masks, discriminators)
    weights = {
        "adversarial": training.adversarial_weight,
        "reconstruction": training.reconstruction_weight,
        "latent": training.latent_weight,
    }
    return Stage(
        name="masks",
        steps=training.mask_steps,
        batches=batches,
        groups={"generator": _group(masks.parameters(), training), "judge": _group(discriminators.parameters(), training)},
        phases=[
            Phase("discriminator", "judge", losses.discriminator_terms, weights),
            Phase("generator", "generator", losses.generator_terms, weights),
        ],
        modules={"masks": masks, "discriminators": discriminators},
    )  # fmt: skip


def translation_stage(
    translator: Translator,
    discriminators: Discriminators,
    batches: Batches,
    training: EGSCITTraining,
    *,
    features: FeatureMaps | None,
    adain: AdaIN,
    mask: bool,
    preview: Callable[[], Tensor] | None = None,
) -> Stage:
    """Train the translation in both directions; the style encoders stay as they are."""
    losses = TranslationLosses(translator, discriminators, features, adain=adain, mask=mask)
    return Stage(
        name="translation",
        steps=training.steps,
        batches=batches,
        groups={
            "generator": _group(translator.trained(), training),
            "judge": _group(discriminators.parameters(), training),
        },
        phases=[
            Phase(
                "discriminator", "judge", losses.discriminator_terms,
                {"adversarial": training.adversarial_weight}, every=training.judge_every,
            ),
            Phase(
                "generator", "generator", losses.generator_terms,
                {
                    "adversarial": training.adversarial_weight,
                    "reconstruction": training.reconstruction_weight,
                    "cycle": training.cycle_weight,
                    "latent": training.latent_weight,
                    "content": training.content_weight,
                    "style": training.style_weight,
                },
            ),
        ],
        modules={"translator": translator, "discriminators": discriminators},
        preview=preview,
    )  # fmt: skip


class MaskLosses:
    """The terms of one step of the mask nets, summed over the domains; a batch holds images by "a" and "b"."""

    def __init__(self, masks: nn.ModuleDict, discriminators: Discriminators) -> None:
        self.masks, self.discriminators = masks, discriminators

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Images against their reconstructions."""
        with torch.no_grad():
            drawn = {domain: self._draw(batch, domain)[1] for domain in DOMAINS}
        return {"adversarial": _judged(self.discriminators, batch.images, drawn)}

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Reconstructions should be the images and pass for them; latents should be small."""
        found: dict[str, list[Tensor]] = {"adversarial": [], "reconstruction": [], "latent": []}
        for domain in DOMAINS:
            latents, drawn = self._draw(batch, domain)
            found["adversarial"].append(least_squares_generator(self.discriminators(drawn, domain)))
            found["reconstruction"].append(absolute_difference(drawn, batch.images[domain]))
            found["latent"].append(_energy(latents))
        return {name: torch.stack(values).sum(dim=0) for name, values in found.items()}

    def _draw(self, batch: Batch, domain: Domain) -> tuple[Tensor, Tensor]:
        net, images = self.masks[domain], batch.images[domain]
        assert isinstance(net, MaskNet)
        latents = net.encode(images)
        latents = latents + _noise(latents, batch.draws)
        return latents, net.draw(latents)


class TranslationLosses:
    """The terms of one step of the translation, summed over both directions; the exemplar of an image is its batch mate
    of the other domain. Without ``features`` there are no semantic and style terms."""

    def __init__(
        self,
        translator: Translator,
        discriminators: Discriminators,
        features: FeatureMaps | None,
        *,
        adain: AdaIN,
        mask: bool,
    ) -> None:
        self.translator, self.discriminators, self.features = translator, discriminators, features
        self.adain, self.uses_mask = adain, mask

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Images of a domain against translations into it."""
        with torch.no_grad():
            guides = self._guides(batch)
            drawn = {
                target: self._draw(self._encode(batch, source), target, guides[source].mask, guides[target].statistics)
                for source, target in _directions()
            }
        return {"adversarial": _judged(self.discriminators, batch.images, drawn)}

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """See the module; latents of the images count twice, as in the release, where both totals hold the mean of them."""
        found: dict[str, list[Tensor]] = {name: [] for name in ("adversarial", "reconstruction", "cycle", "latent")}
        latents = {domain: self._encode(batch, domain) for domain in DOMAINS}
        guides = self._guides(batch)
        drawn: dict[Domain, Tensor] = {}
        for source, target in _directions():
            images, own = batch.images[source], guides[source]
            rebuilt = self._draw(latents[source], source, own.mask, own.statistics)
            translated = self._draw(latents[source], target, own.mask, guides[target].statistics)
            again = self.translator.encode(translated, target)
            again = again + _noise(again, batch.draws)
            back = self._draw(again, source, own.mask, own.statistics)
            drawn[target] = translated
            found["adversarial"].append(least_squares_generator(self.discriminators(translated, target)))
            found["reconstruction"].append(absolute_difference(rebuilt, images))
            found["cycle"].append(absolute_difference(back, images))
            found["latent"].append(_energy(latents[source]) + _energy(again))
        terms = {name: torch.stack(values).sum(dim=0) for name, values in found.items()}
        return terms if self.features is None else terms | self._seen_terms(self.features, batch, drawn)

    def _seen_terms(self, features: FeatureMaps, batch: Batch, drawn: Mapping[Domain, Tensor]) -> dict[str, Tensor]:
        """Translations should have the content's layout and the exemplar's style in the eyes of a frozen network."""
        with torch.no_grad():
            wanted = {domain: features.maps(batch.images[domain]) for domain in DOMAINS}
        seen = {target: features.maps(drawn[target].float()) for _, target in _directions()}
        content = [layout_difference(seen[target], wanted[source]) for source, target in _directions()]
        style = [gram_difference(seen[target], wanted[target]) for _, target in _directions()]
        return {"content": torch.stack(content).sum(dim=0), "style": torch.stack(style).sum(dim=0)}

    def _encode(self, batch: Batch, domain: Domain) -> Tensor:
        latents = self.translator.encode(batch.images[domain], domain)
        return latents + _noise(latents, batch.draws)

    @torch.no_grad()
    def _guides(self, batch: Batch) -> dict[Domain, "_Guide"]:
        """What the frozen style encoders take from the images of each domain."""
        net = self.translator
        return {
            domain: _Guide(
                net.mask(batch.images[domain], domain) if self.uses_mask else None,
                net.statistics(batch.images[domain], domain),
            )
            for domain in DOMAINS
        }

    def _draw(self, latents: Tensor, domain: Domain, mask: Tensor | None, statistics: Tensor) -> Tensor:
        return self.translator.draw(latents, domain, mask, statistics, self.adain)


class _Guide(NamedTuple):
    """The mask that an image as content, and the statistics that it as an exemplar, lays on what is drawn."""

    mask: Tensor | None
    statistics: Tensor


def falling(progress: float) -> float:
    """The share of the learning rate that is left after ``progress`` of a stage."""
    return float((1.0 - progress) ** 0.9)


def _directions() -> tuple[tuple[Domain, Domain], tuple[Domain, Domain]]:
    first, second = DOMAINS
    return (first, second), (second, first)


def _judged(discriminators: Discriminators, real: Mapping[str, Tensor], drawn: Mapping[Domain, Tensor]) -> Tensor:
    terms = [
        least_squares_discriminator(discriminators(real[domain], domain), discriminators(drawn[domain], domain))
        for domain in DOMAINS
    ]
    return torch.stack(terms).sum(dim=0)


def _noise(latents: Tensor, draws: Draws) -> Tensor:
    return draws.normal(*latents.shape).to(latents.dtype)


def _energy(latents: Tensor) -> Tensor:
    return latents.float().square().flatten(1).mean(dim=1)


def _group(parameters: Iterable[nn.Parameter], training: EGSCITTraining) -> ParamGroup:
    return ParamGroup(list(parameters), lr=training.lr, betas=(0.5, 0.999), rate=falling, warm_up=training.warm_up)
