"""What the systems that learn a target domain from K pairs share: twin generators, one seed for both domains."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from lowshotgan.checks import one_of, within
from lowshotgan.data.batches import ImageBatches
from lowshotgan.data.dataset import IMAGE_OPTIONS, ImageSet, load_images
from lowshotgan.data.pairs import PairSet, load_pairs
from lowshotgan.data.streams import DrawnBatches, RowBatches
from lowshotgan.draws import latents_from_seeds
from lowshotgan.errors import ConfigError
from lowshotgan.nets.batch_norm import batch_statistics
from lowshotgan.nets.domains import Domains
from lowshotgan.systems.base import System
from lowshotgan.systems.generation import Generation, OutputType, check_drawing, requested_latents
from lowshotgan.systems.paired_data import SourceData, check_partners, read_source_data
from lowshotgan.systems.paired_training import shots_per_step
from lowshotgan.systems.partners import find_partners
from lowshotgan.systems.perception import Perception, check_at_hand, load_perception
from lowshotgan.types import Batches, PathLike, Stages

DOMAINS = ("source", "target", "both")
STATISTICS_SAMPLES = 2500
"""Latents behind batch-norm statistics: 50 batches of 50."""


class PairedSystem(System):
    """Base of LaDo, GenHo and PFS-GAN: the same latent gives the same content in a source and in a target domain.

    A subclass names ``z_dim``, draws images of one domain in ``draw`` and recomputes batch-norm statistics in
    ``recalibrate``; ``trained_part`` is what training moves in a domain. Its configuration has ``adapted`` and
    ``latent_std``.
    """

    discriminator: nn.Module | None

    def __init__(self, config: Any, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self._stale: set[str] = set()

    @property
    def z_dim(self) -> int:
        """Length of a latent."""
        raise self.unsupported("generate")

    def draw(self, latents: Tensor, domain: str) -> Tensor:
        """Images ``(B, C, R, R)`` of one domain from latents ``(B, z_dim)`` on the model's device."""
        raise self.unsupported("generate")

    def recalibrate(self, domain: str) -> None:
        """Give the generator of one domain batch-norm statistics that belong to its weights."""
        raise self.unsupported("generate")

    def trained_part(self, domain: str) -> nn.Module:
        """The networks whose batch-norm statistics are not settled while the generator of a domain is trained."""
        raise self.unsupported("train")

    def encode(self, latents: Tensor, domain: str, **inputs: Any) -> Tensor:
        """What ``draw`` takes, from latents and from further inputs such as images to take the content of."""
        if inputs:
            raise ConfigError(f"{self.arch} generates from seeds; it takes no {', '.join(sorted(inputs))}.")
        return latents

    @torch.no_grad()
    def generate(
        self,
        n: int | None = None,
        *,
        seeds: int | str | Sequence[int] | None = None,
        domain: str | None = None,
        truncation: float = 1.0,
        latents: Tensor | None = None,
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **inputs: Any,
    ) -> Generation:
        """Make images; an image depends on its seed alone, and one seed shows the same content in both domains.

        Args:
            n: number of images, seeds 0 to n - 1; 1 if neither ``n``, ``seeds`` nor ``latents`` is given.
            seeds: a seed, several, or text such as ``"0,5,10-19"``.
            domain: "target" (the default once there is one), "source", or "both" for the two side by side.
            truncation: multiplies the latents; below 1 gives more typical images and less variety.
            latents: ``(N, z_dim)`` latents instead of seeds.
            batch_size: images per forward pass; 16 by default.
            output_type: "pil", "pt" or "np"; see ``Generation.images``.
            inputs: further inputs of the system, such as ``content=`` (images to take the content of).

        Returns:
            N images, twice as wide as high for "both", with the latents.

        Raises:
            ConfigError: for unusable seeds, latents or options, or if there is no target domain yet.
            ImageInputError: for images that cannot be read.
        """
        domain = one_of("domain", domain or self.default_domain, DOMAINS)
        size = check_drawing(batch_size, output_type, truncation=truncation)
        used, given = self._latents(n, seeds, latents)
        self._check_domain(domain)
        self.settle()
        self.eval()
        codes = self.encode(given.to(self.device, torch.float32) * truncation, domain, **inputs)
        shown = ("source", "target") if domain == "both" else (domain,)
        drawn = [torch.cat([self.draw(part, one) for one in shown], dim=3) for part in codes.split(size)]
        images = torch.cat([part.float().cpu() for part in drawn])
        seeds_of = used if used is not None and len(used) == len(images) else None
        return Generation(images, seeds_of, codes.cpu(), output_type)

    @property
    def default_domain(self) -> str:
        return "target" if self.config.adapted else "source"

    def settle(self) -> None:
        """Recompute the batch-norm statistics of generators that were trained since the last time."""
        for domain in sorted(self._stale):
            self.recalibrate(domain)
        self._stale.clear()

    def save_pretrained(
        self, folder: PathLike, *, discriminator: bool = True, extra_files: Mapping[str, Any] | None = None
    ) -> Path:
        """Write the model folder (see ``System.save_pretrained``), with statistics that belong to the weights."""
        self.settle()
        return super().save_pretrained(folder, discriminator=discriminator, extra_files=extra_files)

    def blend(self, strength: float) -> Self:
        """A model whose target generator is on the line from the source's (0) to this one (1); beyond 1 exaggerates.

        Everything else is this model's. It is a model of its own: it is saved whole.

        Raises:
            ConfigError: if there is no target domain, or ``strength`` is no number from -10 to 10.
        """
        self._check_domain("target")
        within("strength", strength, -10, 10)
        self.settle()
        blended = copy.deepcopy(self)
        for network in blended.drawing():
            network.blend(strength)
        if strength not in (0, 1):
            blended._stale.add("target")
        blended.source_name = None
        return blended

    def drawing(self) -> list[Domains]:
        """The networks that draw, which are twins where there is a target."""
        raise self.unsupported("generate")

    def content_codes(self, images: Tensor) -> Tensor | None:
        """Codes ``(N, ...)`` of the content of images ``(N, C, R, R)`` in [-1, 1] of either domain, or ``None`` for systems
        that keep no encoder which reads both."""
        return None

    def read_images(self, images: Any, **options: Any) -> ImageSet:
        """Images as the networks take them: of the model's size, with its number of channels."""
        return load_images(images, resolution=self.config.resolution, channels=self.config.channels, **options)

    def read_data(self, data: Any, *, pairs: Any = None, **options: Any) -> SourceData:
        """Images of the source domain and perhaps pairs: images, or ``{"images": ..., "pairs": ...}``."""
        return read_source_data(data, pairs, self.read_images, self.read_shots, options)

    @property
    def data_options(self) -> frozenset[str]:
        return IMAGE_OPTIONS | {"pairs"}

    def read_shots(self, shots: Any, **options: Any) -> PairSet:
        """K pairs; see ``data.pairs.load_pairs`` for what they may be."""
        return load_pairs(shots, resolution=self.config.resolution, channels=self.config.channels, **options)

    def reading_options(self, settings: Mapping[str, Any]) -> frozenset[str]:
        """``partners``, where they are a function that makes them."""
        return frozenset({"partners"} if callable(settings.get("partners")) else ())

    def check_finetuning(self, shots: PairSet, training: Any) -> None:
        """Raises as ``finetune_stages`` does, before anything is built."""
        check_partners(shots, training.partners)
        self.check_networks(training)

    def check_networks(self, training: Any) -> None:
        """Refuse settings that need networks which are not at hand, or do not fit this model.

        Raises:
            ConfigError: if the model was loaded without the discriminators.
            WeightsNotFoundError: if a file that the settings name is not on this disk.
        """
        self.need_judges()
        check_at_hand(training.perceptual)

    def finetune_stages(
        self,
        pairs: PairSet,
        training: Any = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        preview_seeds: Sequence[int] = range(16),
    ) -> Stages:
        """The stages that learn the target from pairs; without source images the source generator is replayed.

        Raises:
            ConfigError: for targets without partners unless ``partners="invert"``, or without discriminators.
            WeightsNotFoundError: for ``perceptual="vgg"`` without its weights.
        """
        if training is None:
            assert self.FineTuning is not None
            training = self.FineTuning()
        self.check_finetuning(pairs, training)
        perception = self.perceive(training)
        self.details["perceptual"] = perception.name
        share = {"seed": seed, "rank": rank, "world_size": world_size}
        return self._finetune_stages(pairs, training, perception, preview_seeds, share)

    def perceive(self, training: Any) -> Perception:
        """The perceptual distance of the fine-tuning settings ``training``.

        Raises:
            ConfigError: if the model was loaded without the discriminators.
            WeightsNotFoundError: if a network it names is not on this disk.
        """
        judge, norm = self.need_judges().source, training.perceptual_norm
        return load_perception(training.perceptual, judge, norm=norm, device=self.device)

    def _finetune_stages(
        self,
        pairs: PairSet,
        training: Any,
        perception: Perception,
        preview_seeds: Sequence[int],
        share: dict[str, Any],
    ) -> Stages:
        raise self.unsupported("finetune")

    def begin_target(self, *networks: Domains) -> None:
        """Start a target domain as a copy of the source in each of ``networks``."""
        for network in networks:
            network.adapt()
        self.config = replace(self.config, adapted=True)

    def source_batches(self, images: ImageSet | None, batch_size: int, *, flip: bool, **share: Any) -> Batches:
        """Endless source images: those given, or without any the ones the source generator draws."""
        if images is not None:
            return ImageBatches(images, batch_size, flip=flip, **share, device=self.device)
        latent_std = self.config.latent_std
        return DrawnBatches(self._replay, self.z_dim, batch_size, latent_std=latent_std, **share, device=self.device)

    def rows_of(self, pairs: PairSet, perception: Perception, *, seed: int) -> dict[str, Tensor]:
        """``source`` and ``target`` of the pairs, ``(K, C, R, R)`` uint8; partners that are not given are searched."""
        rows = dict(pairs.rows)
        if "source" not in rows:
            latents: dict[str, Any] = {"z_dim": self.z_dim, "latent_std": self.config.latent_std, "seed": seed}
            rows["source"] = find_partners(rows["target"], self._replay, perception, **latents)
        return rows

    def shot_batches(
        self, rows: Mapping[str, Tensor], batch_size: int, *, flip: bool = False, **share: int
    ) -> RowBatches:
        """Endless shots (and what belongs to them): all of them per step if they fit, repeated if they are few."""
        count = len(next(iter(rows.values())))
        size = shots_per_step(batch_size, count, share["world_size"])
        return RowBatches(rows, size, flip=flip, device=self.device, **share)

    def marker(self, domain: str, *, bn: str) -> Callable[[int, dict[str, float]], None]:
        """An ``on_step`` callback that notes that the statistics of a generator no longer belong to its weights."""

        def mark(step: int, log: dict[str, float]) -> None:
            if bn == "recalibrate":
                self._stale.add(domain)

        mark(0, {})
        return mark

    def preview(self, domain: str, seeds: Sequence[int]) -> Callable[[], Tensor]:
        """A function that draws ``seeds`` as the networks then are: ``(N, C, R, R)``, for "both" ``(N, C, R, 2 R)``."""
        latents = latents_from_seeds(list(seeds), self.z_dim) * self.config.latent_std
        shown = ("source", "target") if domain == "both" else (domain,)

        @torch.no_grad()
        def draw() -> Tensor:
            frozen = [self.draw(latents, one).cpu() for one in shown[:-1]]
            with batch_statistics(self.trained_part(shown[-1])):
                return torch.cat([*frozen, self.draw(latents, shown[-1]).cpu()], dim=3)

        return draw

    def need_judges(self) -> Any:
        """The discriminators.

        Raises:
            ConfigError: if the model was loaded without them.
        """
        if self.discriminator is None:
            raise ConfigError(
                f"{self.source_name or self.arch} has no discriminator, which training needs; take a model folder with "
                "discriminator.safetensors, such as the run that made it, or the model it was fine-tuned from."
            )
        return self.discriminator

    def _replay(self, latents: Tensor) -> Tensor:
        return self.draw(latents, "source")

    def _latents(
        self, n: int | None, seeds: int | str | Sequence[int] | None, latents: Tensor | None
    ) -> tuple[list[int] | None, Tensor]:
        used, given = requested_latents(self.z_dim, n, seeds=seeds, latents=latents)
        if given.ndim != 2 or given.shape[1] != self.z_dim:
            raise ConfigError(f"latents must be (N, {self.z_dim}), got {tuple(given.shape)}.")
        return used, given if used is None else given * self.config.latent_std

    def _check_domain(self, domain: str) -> None:
        if domain != "source" and not self.config.adapted:
            raise ConfigError(
                f"{self.arch} has no target domain yet; make one with finetune(model, pairs=...), or ask for "
                "domain='source'."
            )
