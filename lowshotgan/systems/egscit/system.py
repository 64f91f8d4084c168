"""EGSC-IT as a system: translate between two domains in the manner of an exemplar.

Ma et al., "Exemplar Guided Unsupervised Image-to-Image Translation with Semantic Consistency", ICLR 2019.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from lowshotgan.checks import one_of, whole
from lowshotgan.data.batches import ImageBatches, Together
from lowshotgan.data.domains import DomainPair, Zoomed, load_domains
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError
from lowshotgan.nets import egscit as nets
from lowshotgan.nets.egscit import DOMAINS, AdaIN, Discriminators, Domain, MaskNet
from lowshotgan.systems.egscit.config import ADAIN, EGSCITConfig, EGSCITTraining
from lowshotgan.systems.egscit.stages import mask_stage, translation_stage
from lowshotgan.systems.frozen_features import load_maps
from lowshotgan.systems.translation import Translator
from lowshotgan.systems.translation_evaluation import Target
from lowshotgan.types import Stage

DIRECTIONS: dict[str, tuple[Domain, Domain]] = {"a2b": ("a", "b"), "b2a": ("b", "a")}
PREVIEWED = 6


class EGSCIT(Translator):
    """Encoders, drawers and frozen style encoders of two domains, with their discriminators.

    ``generate`` takes these options besides those of ``Translator.generate``: ``direction`` ("a2b" or "b2a"), ``mask``
    and ``adain`` (as in the configuration unless given), and ``noise``, the seed of the noise the release adds to
    latents, here the same to those of every content; without it (``False``) translation is deterministic. K exemplars
    count by the mean of their statistics.

    Attributes:
        generator: everything that draws.
        discriminator: one per domain, or ``None`` if the weights came without.
    """

    system = "egscit"
    Config = EGSCITConfig
    Training = EGSCITTraining
    generator: nets.Translator
    discriminator: Discriminators | None

    def __init__(self, config: EGSCITConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = nets.Translator(width=config.width, levels=config.levels, deviation=config.deviation)
        self.discriminator = Discriminators(width=config.discriminator_width)

    @property
    def size_multiple(self) -> int:  # type: ignore[override]
        """Heights and widths must be multiples of it."""
        return int(2 ** (self.config.levels - 1))

    def read_data(self, data: Any, **options: Any) -> DomainPair:
        """Two sets of images; see ``load_domains``."""
        return load_domains(data, resolution=self.config.resolution, width=self.config.image_width, **options)

    def stages(
        self,
        data: DomainPair,
        training: EGSCITTraining | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Stage]:
        """Two stages: the mask nets, whose encoders become the style encoders, then the translation.

        Args:
            data: what ``read_data`` returned.
            training: settings.
            seed: of the order of images.
            rank: of this process.
            world_size: number of processes.

        Raises:
            ConfigError: if the model came without its discriminators.
        """
        training = training or EGSCITTraining()
        if self.discriminator is None:
            raise ConfigError(f"{self.arch} was loaded without its discriminators; training needs them.")
        needed = training.content_weight > 0 or training.style_weight > 0
        features = load_maps(training.perceptual, self.device) if needed else None
        self.details["perceptual"] = features.name if features else None
        self.details["domains"] = data.names
        config = self.config

        def batches(stage: str) -> Together:
            return Together(
                {d: self._batches(data, d, training, f"{seed} {stage}", rank, world_size) for d in DOMAINS}
            )

        sizes = {"width": config.width, "levels": config.levels}
        masks = nn.ModuleDict({d: MaskNet(**sizes, deviation=config.deviation) for d in DOMAINS}).to(self.device)
        judges = Discriminators(width=config.discriminator_width).to(self.device)
        yield mask_stage(masks, judges, batches("masks"), training)
        for domain in DOMAINS:
            encoder = cast(MaskNet, masks[domain]).encoder
            self.generator.style_encoders[domain].load_state_dict(encoder.state_dict())
        self.generator.train()
        self.discriminator.train()
        yield translation_stage(
            self.generator,
            self.discriminator,
            batches("translation"),
            training,
            features=features,
            adain=cast(AdaIN, config.adain),
            mask=config.mask,
            preview=self._preview(data),
        )

    def _batches(
        self, data: DomainPair, domain: Domain, training: EGSCITTraining, seed: str, rank: int, world_size: int
    ) -> Zoomed:
        number = int.from_bytes(hashlib.sha256(f"{seed} {domain}".encode()).digest()[:4], "big")
        images = ImageBatches(
            data.images[domain],
            training.batch_size,
            flip=training.flip,
            seed=number,
            rank=rank,
            world_size=world_size,
            device=self.device,
        )
        return Zoomed(images, least=training.zoom, seed=f"{seed} {domain} {rank}")

    def evaluation_data(
        self, reference: Any, content: Tensor | None = None, **data: Any
    ) -> tuple[list[Target], dict[str, Tensor]]:
        """See ``Translator.evaluation_data``."""
        found = self.read_data(reference, **data)
        images = {domain: found.images[domain].uint8() for domain in DOMAINS}
        targets = [
            Target(found.names[target], images[source] if content is None else content, {"direction": direction})
            for direction, (source, target) in DIRECTIONS.items()
            if content is None or direction == "a2b"
        ]
        return targets, {found.names[domain]: images[domain] for domain in DOMAINS}

    def _read_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(options) - {"direction", "mask", "adain", "noise"})
        if unknown:
            return super()._read_options({name: options[name] for name in unknown})
        chosen = {"direction": "a2b", "mask": self.config.mask, "adain": self.config.adain, "noise": False, **options}
        one_of("direction", chosen["direction"], DIRECTIONS)
        one_of("adain", chosen["adain"], ADAIN)
        if chosen["noise"] is not False:
            whole("noise", chosen["noise"], 0)
        return chosen

    def _pin(self, settings: Mapping[str, Any]) -> str:
        return f"{self.fingerprint}-{DIRECTIONS[settings['direction']][1]}"

    def _own_side(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {**settings, "direction": "b2a" if settings["direction"] == "a2b" else "a2b"}

    def _encode(self, exemplars: Tensor, **settings: Any) -> Tensor:
        return self.generator.statistics(exemplars, DIRECTIONS[settings["direction"]][1])

    def _redraw(self, content: Tensor, codes: Tensor, **settings: Any) -> Tensor:
        source, target = DIRECTIONS[settings["direction"]]
        latents = self.generator.encode(content, source)
        if settings["noise"] is not False:
            generator = torch.Generator().manual_seed(int(settings["noise"]))
            latents = latents + torch.randn(latents.shape[1:], generator=generator).to(latents.device)
        mask = self.generator.mask(content, source) if settings["mask"] else None
        return self.generator.draw(latents, target, mask, codes, cast(AdaIN, settings["adain"]))

    def _preview(self, data: DomainPair) -> Callable[[], Tensor]:
        """Images of domain a in the top row; below, each of them by an exemplar of b a row."""
        shown = {
            d: from_uint8(data.images[d].uint8(range(min(PREVIEWED, len(data.images[d]))))) for d in DOMAINS
        }  # fmt: skip

        def draw() -> Tensor:
            exemplars = {str(index): image[None] for index, image in enumerate(shown["b"][: PREVIEWED - 1])}
            drawn = torch.cat([shown["a"], self.generate(shown["a"], exemplars).tensor])
            self.generator.train()
            return drawn

        return draw
