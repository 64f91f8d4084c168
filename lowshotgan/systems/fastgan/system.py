"""FastGAN as a system: generate, interpolate, train from scratch on as few as fifty images.

Liu et al., "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis", ICLR 2021.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Literal, cast

import torch
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.draws import latents_from_seeds
from lowshotgan.errors import ConfigError
from lowshotgan.nets.batch_norm import batch_statistics
from lowshotgan.nets.fastgan import Discriminator, Generator, Noise, Tanh
from lowshotgan.systems.fastgan.config import FastGANConfig, FastGANTraining
from lowshotgan.systems.fastgan.stages import source_stage
from lowshotgan.systems.frozen_features import load_perceptual
from lowshotgan.systems.generation import Generation, OutputType, check_drawing, requested_latents
from lowshotgan.systems.settling import Settling
from lowshotgan.systems.walks import parse_stops, slerp, walk
from lowshotgan.types import Stage


class FastGAN(Settling):
    """An unconditional generator with its discriminator.

    Attributes:
        generator: the averaged generator.
        discriminator: its discriminator, or ``None`` if the weights came without one.
    """

    system = "fastgan"
    Config = FastGANConfig
    Training = FastGANTraining
    generator: Generator
    discriminator: Discriminator | None
    statistics_samples = 2000

    def __init__(self, config: FastGANConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = Generator(
            config.resolution, z_dim=config.z_dim, width=config.generator_width, tanh=cast(Tanh, config.tanh)
        )
        self.discriminator = Discriminator(config.resolution, width=config.discriminator_width)

    def forward(self, latents: Tensor, **options: Any) -> Any:
        """The generator's images ``(B, 3, R, R)`` of latents ``(B, z_dim)``, with gradients; see ``Generator.forward``."""
        self.settle()
        return self.generator(latents, **options)

    @torch.no_grad()
    def generate(
        self,
        n: int | None = None,
        *,
        seeds: int | str | Sequence[int] | None = None,
        truncation: float = 1.0,
        latents: Any = None,
        noise: str = "const",
        bn_mode: Literal["recomputed", "batch"] = "recomputed",
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **unknown: Any,
    ) -> Generation:
        """Make images; an image depends on its seed alone unless ``bn_mode`` is "batch".

        Args:
            n: number of images, seeds 0 to n - 1; 1 if neither ``n``, ``seeds`` nor ``latents`` is given.
            seeds: a seed, several, or text such as ``"0,5,10-19"``.
            truncation: multiplies the latents; below 1 gives more typical images and less variety.
            latents: ``(N, z_dim)`` latents instead of seeds: a tensor, an array, lists, or a ``.safetensors`` file.
            noise: "const" (the stored maps), "none", or "random" (fresh, not fixed by the seed).
            bn_mode: "recomputed" statistics, or those of each "batch" as the original release, where an image
                depends on its batch mates and ``batch_size`` matters.
            batch_size: images per forward pass; 16 by default.
            output_type: "pil", "pt" or "np"; see ``Generation.images``.

        Raises:
            ConfigError: for unusable seeds, latents or options.
        """
        if unknown:
            raise ConfigError(f"{self.arch} generates from seeds; it takes no {', '.join(sorted(unknown))}.")
        size = check_drawing(batch_size, output_type, truncation=truncation)
        used, given = requested_latents(self.generator.z_dim, n, seeds=seeds, latents=latents)
        one_of("noise", noise, ("const", "none", "random"))
        one_of("bn_mode", bn_mode, ("recomputed", "batch"))
        self.settle()
        self.generator.eval()
        with batch_statistics(self.generator) if bn_mode == "batch" else nullcontext():
            images = [self._draw(part * truncation, cast(Noise, noise)) for part in given.split(size)]
        return Generation(torch.cat(images), used, given.cpu(), output_type)

    def interpolate(
        self,
        seeds: int | str | Sequence[int],
        *,
        frames: int = 60,
        truncation: float = 1.0,
        loop: bool = True,
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **unknown: Any,
    ) -> Generation:
        """Walk through the latents of ``seeds`` along great circles, in equal steps.

        Args:
            seeds: two or more.
            frames: images in all.
            truncation: as in ``generate``.
            loop: return to the first seed at the end, so that an animation repeats without a jump.
            batch_size: images per forward pass.
            output_type: as in ``generate``.

        Raises:
            ConfigError: for fewer than two seeds, or unusable options.
        """
        self.refuse("interpolate", unknown)
        latents = latents_from_seeds(parse_stops(seeds), self.generator.z_dim)
        path = walk(latents, frames=frames, loop=loop, blend=slerp)
        return self.generate(latents=path, truncation=truncation, batch_size=batch_size, output_type=output_type)

    def stages(
        self,
        images: Any,
        training: FastGANTraining | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        preview_seeds: Sequence[int] = range(64),
    ) -> Iterator[Stage]:
        """Training from scratch: one stage; afterwards ``generator`` holds the average.

        Args:
            images: an ``ImageSet`` at the model's resolution.
            training: settings; the paper's by default.
            seed: of the order of images.
            rank: of this process.
            world_size: number of processes; each normalises over its own share of the batch.
            preview_seeds: drawn after some steps for the run folder.

        Raises:
            ConfigError: if the model came without its discriminator.
        """
        training = training or FastGANTraining()
        if self.discriminator is None:
            raise ConfigError(f"{self.arch} was loaded without its discriminator; training needs one.")
        perceptual = load_perceptual(training.perceptual, self.device)
        self.details["reconstruction_features"] = perceptual.name
        batches = self.batches(images, training, seed=seed, rank=rank, world_size=world_size)
        averaged, live = self.generator, copy.deepcopy(self.generator).train()
        averaged.eval().requires_grad_(False)
        self.discriminator.train()
        self._stale = True
        yield source_stage(
            live,
            averaged,
            self.discriminator,
            batches,
            training,
            perceptual=perceptual,
            on_step=self.moved,
            preview_seeds=preview_seeds,
        )

    def _draw(self, latents: Tensor, noise: Noise) -> Tensor:
        image = self.generator(latents.to(self.device, torch.float32), noise=noise)
        return cast(Tensor, image).float().cpu()
