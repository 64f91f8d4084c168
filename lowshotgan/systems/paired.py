"""What the systems that learn a target domain from K pairs share: twin generators, one seed for both domains."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lowshotgan.checks import one_of
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
from lowshotgan.systems.partners import find_partners
from lowshotgan.systems.perception import Perception, load_perception
from lowshotgan.types import Batches, ParamGroup, PathLike, Stages

DOMAINS = ("source", "target", "both")
MIN_BATCH = 8
"""Fewest shots in one step; fewer are repeated, because batch norm needs a batch."""
STATISTICS_SAMPLES = 2500
"""Latents behind batch-norm statistics: 50 batches of 50."""
FEWEST_AVERAGED = 200
"""Stages of fewer steps are not averaged."""
EMA_RAMPUP = 0.2
"""The half-life of an average is at most this share of the steps done."""


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
        """Images ``(B, 3, R, R)`` of one domain from latents ``(B, z_dim)`` on the model's device."""
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

    def read_data(self, data: Any, *, pairs: Any = None, **options: Any) -> "SourceData":
        """Images of the source domain and perhaps pairs: images, or ``{"images": ..., "pairs": ...}``."""
        if isinstance(data, Mapping):
            unknown = sorted(set(data) - {"images", "pairs"})
            if unknown or "images" not in data:
                raise ConfigError(f"data as a mapping have 'images' and perhaps 'pairs', got {', '.join(data)}.")
            data, pairs = data["images"], data.get("pairs", pairs)
        resolution = self.config.resolution
        images = load_images(data, resolution=resolution, **options)
        if pairs is None:
            return SourceData(images)
        shared = {key: value for key, value in options.items() if key in ("fit", "background", "enlarge")}
        return SourceData(images, load_pairs(pairs, resolution=resolution, **shared))

    @property
    def data_options(self) -> frozenset[str]:
        return IMAGE_OPTIONS | {"pairs"}

    def read_shots(self, shots: Any, **options: Any) -> PairSet:
        """K pairs; see ``data.pairs.load_pairs`` for what they may be."""
        return load_pairs(shots, resolution=self.config.resolution, **options)

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
        check_partners(pairs, training.partners)
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
        """``source`` and ``target`` of the pairs, ``(K, 3, R, R)`` uint8; partners that are not given are searched."""
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
        """A function that draws ``seeds`` as the networks then are: ``(N, 3, R, R)``, for "both" ``(N, 3, R, 2 R)``."""
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
            raise ConfigError(f"{self.arch} was loaded without its discriminator; training needs one.")
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


class SourceData:
    """Images of the source domain, and perhaps pairs that show which content they share with a target."""

    def __init__(self, images: ImageSet, pairs: PairSet | None = None) -> None:
        if pairs is not None and pairs.source is None:
            raise ConfigError("pairs for training need both partners; pass (source, target).")
        self.images, self.pairs = images, pairs

    def __len__(self) -> int:
        return len(self.images)

    def describe(self) -> dict[str, Any]:
        """What identifies the data, as plain values."""
        about = self.images.describe()
        return about if self.pairs is None else about | {"pairs": self.pairs.describe()}


def shots_per_step(batch_size: int, shots: int, world_size: int) -> int:
    """How many of ``shots`` to take per step: all if they fit, at least ``MIN_BATCH``, a multiple of ``world_size``."""
    wanted = max(min(batch_size, shots), min(MIN_BATCH, batch_size))
    return -(-wanted // world_size) * world_size


def live_copies(steps: int, half_life: float, **kept: nn.Module) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """What a stage trains while the networks ``kept``, which are drawn from later, follow as running averages.

    Returns:
        the networks to train, by the same names, and what the ``Stage`` is told about averages. Without a half-life, and
        in a stage too short for an average to mean anything, these are ``kept`` themselves, and nothing.
    """
    if not half_life or steps < FEWEST_AVERAGED:
        return kept, {}
    live = {name: copy.deepcopy(network) for name, network in kept.items()}
    pairs = {name: (live[name], network) for name, network in kept.items()}
    return live, {"averages": pairs, "ema_half_life": half_life, "ema_rampup": EMA_RAMPUP}


def group(lr: float, *networks: nn.Module, final: float = 1.0) -> ParamGroup:
    """All parameters of ``networks`` under the Adam of the release; ``final`` is the share of the rate left at the end."""
    params = [parameter for network in networks for parameter in network.parameters()]
    return ParamGroup(params, lr=lr, betas=(0.0, 0.9), rate=lambda progress: final**progress)


def check_partners(pairs: PairSet, partners: str) -> None:
    """Refuse targets without partners, unless they are to be searched.

    Raises:
        ConfigError: telling how to give partners.
    """
    if pairs.source is None and partners != "invert":
        raise ConfigError(
            f"the {len(pairs)} shots have no source partners. Pass pairs=(source_folder, target_folder), a folder of "
            "images that show both side by side, or partners='invert' to search partners among the base's own images."
        )
