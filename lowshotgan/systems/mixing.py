"""Systems whose latents are a content code and an appearance code, each from noise or read from images."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from lowshotgan.data.dataset import ImageSet
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError
from lowshotgan.nets.batch_norm import recompute_batch_norm
from lowshotgan.nets.domains import Domains
from lowshotgan.nets.lado import Codes
from lowshotgan.systems.paired import STATISTICS_SAMPLES, PairedSystem

CHUNK = 16


class MixingNetworks(nn.Module):
    """Everything that generates: a shared content encoder, and per domain an appearance encoder and a generator."""

    def __init__(self, content: nn.Module, appearance: nn.Module, image: nn.Module, *, adapted: bool) -> None:
        super().__init__()
        self.content = content
        self.appearance = Domains(appearance, adapted=adapted)
        self.image = Domains(image, adapted=adapted)


class MixingSystem(PairedSystem):
    """Base of LaDo and PFS-GAN; ``order`` says which code comes first in a latent.

    The configuration has ``content_dim`` and ``appearance_dim``.
    """

    order: ClassVar[tuple[str, str]] = ("content", "appearance")
    generator: MixingNetworks

    @property
    def z_dim(self) -> int:
        return sum(self._lengths())

    def draw(self, latents: Tensor, domain: str) -> Tensor:
        """Images ``(B, C, R, R)`` of one domain from codes ``(B, z_dim)``, in ``order``."""
        return cast(Tensor, self.generator.image.of(domain)(latents.to(self.device)))

    def drawing(self) -> list[Domains]:
        return [self.generator.image]

    def recalibrate(self, domain: str) -> None:
        image, latent_std = self.generator.image.of(domain), self.config.latent_std
        recompute_batch_norm(image, z_dim=self.z_dim, samples=STATISTICS_SAMPLES, latent_std=latent_std)

    def trained_part(self, domain: str) -> nn.Module:
        return self.generator.image.of(domain)

    def encode(
        self, latents: Tensor, domain: str, *, content: Any = None, appearance: Any = None, **unknown: Any
    ) -> Tensor:
        """Codes ``(N, z_dim)``: content and appearance from noise, or from the means of encoded images.

        Args:
            latents: ``(M, z_dim)`` noise for what is not given.
            domain: appearance is encoded as of the source domain for "source", otherwise as of the target.
            content: images (anything ``load_images`` takes) of a domain whose content the encoder was trained to read:
                the source, for LaDo the target too if the encoder saw pairs (``align_steps``).
            appearance: images of the domain, for a target its shots.

        Raises:
            ConfigError: if the numbers of seeds and images differ and none of them is 1.
        """
        if unknown:
            raise ConfigError(f"{self.arch} takes content and appearance, but no {', '.join(sorted(unknown))}.")
        kind = "source" if domain == "source" else "target"
        encoders = {"content": self.generator.content, "appearance": self.generator.appearance.of(kind)}
        images = {"content": content, "appearance": appearance}
        return mix_codes(
            latents.split(self._lengths(), dim=1),
            [means(encoders[name]) for name in self.order],
            [images[name] for name in self.order],
            names=[f"{name}s" for name in self.order],
            read=self.read_images,
        )

    def _lengths(self) -> list[int]:
        return [getattr(self.config, f"{name}_dim") for name in self.order]


def mix_codes(
    parts: Sequence[Tensor],
    encoders: Sequence[Callable[[Tensor], Tensor]],
    images: Sequence[Any],
    *,
    names: Sequence[str],
    read: Callable[[Any], ImageSet],
) -> Tensor:
    """Put codes together from their parts.

    Args:
        parts: what noise gives for each part, ``(M, D_i)``.
        encoders: from images ``(B, C, R, R)`` in [-1, 1] to each part's means ``(B, D_i)``.
        images: for each part, images (anything ``load_images`` takes) to encode instead, or ``None``.
        names: of the parts, in the plural, for the error message.
        read: opens and prepares images.

    Returns:
        ``(N, sum of D_i)``; seeds do nothing where all parts are encoded.

    Raises:
        ConfigError: if the numbers of seeds and images differ and none of them is 1.
        ImageInputError: for images that cannot be read.
    """
    found, noise = list(parts), len(parts[0])
    device = parts[0].device
    for place, given in enumerate(images):
        if given is not None:
            pixels = from_uint8(read(given).uint8())
            found[place] = torch.cat([encoders[place](part.to(device)) for part in pixels.split(CHUNK)])
    if all(given is not None for given in images):
        noise = 1
    count = max(noise, *map(len, found))
    if any(size not in (1, count) for size in (noise, *map(len, found))):
        counts = [f"{len(part)} {name}" for part, name in zip(found, names, strict=True)]
        raise ConfigError(
            f"{noise} seeds, {' and '.join(counts)} do not go together; give equally many, or one of a kind."
        )
    return torch.cat([part.expand(count, -1) for part in found], dim=1)


def means(encoder: Callable[[Tensor], Codes]) -> Callable[[Tensor], Tensor]:
    """The means an encoder of distributions gives."""
    return lambda images: encoder(images).mean
