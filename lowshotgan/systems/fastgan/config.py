"""Configuration of FastGAN and of its training from scratch."""

from dataclasses import dataclass

from lowshotgan.checks import not_negative, one_of, positive, power_of_two
from lowshotgan.errors import ConfigError
from lowshotgan.finetune.augment import DiffAugment

PERCEPTUAL = ("auto", "lsg1", "random")


@dataclass(frozen=True)
class FastGANConfig:
    """Constructor arguments of the networks; see ``nets.fastgan``. Defaults are those of the paper.

    Attributes:
        resolution: 32, 64, 128, 256, 512 or 1024; the paper has the last three.
        z_dim: length of a latent.
        generator_width: channels of the generator at 128 px.
        discriminator_width: channels of the discriminator at 128 px.
        tanh: "everywhere", or "official" for the release's linear outputs below 1024 px.
    """

    resolution: int = 256
    z_dim: int = 256
    generator_width: int = 64
    discriminator_width: int = 64
    tanh: str = "everywhere"

    def __post_init__(self) -> None:
        power_of_two("resolution", self.resolution, low=32)
        for name in ("z_dim", "generator_width", "discriminator_width"):
            positive(name, getattr(self, name))
        one_of("tanh", self.tanh, ("everywhere", "official"))


@dataclass(frozen=True)
class FastGANTraining:
    """How FastGAN is trained on a few dozen to a few thousand images (Liu et al. 2021, section 4 and release).

    Attributes:
        steps: optimiser steps of the discriminator and of the generator.
        batch_size: images per step over all processes.
        lr: Adam's learning rate of both networks, betas (0.5, 0.999).
        augment: policy of DiffAugment, applied to real and generated images alike.
        flip: mirror images at random; off for text and logos.
        reconstruction_weight: of the three decodings of real images. The release sums a distance over its batch
            of 8, so 8 times the mean.
        perceptual: network of that distance: "lsg1" (the library's own), "random" (the same with random weights of
            a fixed seed), or "auto", the first if it is on this disk. The release uses LPIPS-VGG, not shipped.
        lecam_weight: of LeCam regularisation (Tseng et al. 2021); not in the release, 0 turns it off.
        ema_half_life: of the averaged generator, in steps; a decay of 0.999.
    """

    steps: int = 50_000
    batch_size: int = 8
    lr: float = 2e-4
    augment: str = "color,translation"
    flip: bool = True
    reconstruction_weight: float = 8.0
    perceptual: str = "auto"
    lecam_weight: float = 0.0
    ema_half_life: float = 693.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "lr", "ema_half_life"):
            positive(name, getattr(self, name))
        if self.batch_size < 2:
            raise ConfigError("batch_size must be at least 2: FastGAN normalises over the batch.")
        not_negative(self, "reconstruction_weight", "lecam_weight")
        one_of("perceptual", self.perceptual, PERCEPTUAL)
        if self.augment:
            DiffAugment(self.augment)
