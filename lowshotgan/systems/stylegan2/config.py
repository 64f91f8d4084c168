"""Configuration of StyleGAN2 and of its training from scratch."""

from dataclasses import dataclass

from lowshotgan.checks import not_negative, one_of, positive, power_of_two
from lowshotgan.errors import ConfigError


@dataclass(frozen=True)
class StyleGAN2Config:
    """Constructor arguments of the networks; see ``nets.stylegan2``. Defaults are config-F of the paper."""

    resolution: int = 256
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    modulation: str = "shared"

    def __post_init__(self) -> None:
        power_of_two("resolution", self.resolution, low=8)
        for name in ("z_dim", "w_dim", "mapping_layers", "channel_base", "channel_max"):
            positive(name, getattr(self, name))
        if self.channel_base < self.resolution:
            raise ConfigError(
                f"channel_base ({self.channel_base}) must be at least the resolution ({self.resolution})."
            )
        one_of("modulation", self.modulation, ("shared", "grouped"))


@dataclass(frozen=True)
class SourceTraining:
    """How StyleGAN2 is trained on a large set (Karras et al. 2020, section 4 and appendix B).

    Attributes:
        steps: optimiser steps of the discriminator and of the generator.
        batch_size: images per step over all processes.
        lr: Adam's learning rate of both networks.
        generator_lr: of the generator in the adversarial stage, if it is to differ: after a warm-up, small steps sharpen
            what was learnt where large ones destroy it.
        r1_gamma: weight of the gradient penalty; 0 turns it off.
        r1_every: steps between penalties.
        path_weight: weight of path-length regularisation, on every fourth step; 0 turns it off.
        mixing: probability that a sample mixes two styles.
        flip: mirror images at random.
        ada_target: target of adaptive discriminator augmentation (Karras et al., NeurIPS 2020); 0 turns it off.
        feature_weight: weight of the adversarial loss of heads on the frozen feature network (``nets.feature_heads``), and
            of its perceptual distance in the warm-up; 0 for none.
        warm_up_steps: steps of redrawing images before the networks compete (``warm_up.py``); 0 for none.
        warm_up_lr: Adam's learning rate of the redrawing; it falls to nothing over the second half.
        anchor_weight: weight of redrawing real images during adversarial training; keeps what the warm-up taught; 0 for
            none.
        head_start: steps of the adversarial stage in which only the judges train; useful after a warm-up, whose
            generator is far ahead of them.
        noise: draw noise maps; flat drawings need none.
        ema_half_life: of the averaged generator, in steps.
        ema_rampup: the half-life is at most this share of the steps done.
    """

    steps: int = 200_000
    batch_size: int = 16
    lr: float = 2e-3
    generator_lr: float | None = None
    r1_gamma: float = 10.0
    r1_every: int = 16
    path_weight: float = 2.0
    mixing: float = 0.9
    flip: bool = True
    ada_target: float = 0.0
    feature_weight: float = 0.0
    warm_up_steps: int = 0
    warm_up_lr: float = 8e-3
    anchor_weight: float = 0.0
    head_start: int = 0
    noise: bool = True
    ema_half_life: float = 600.0
    ema_rampup: float = 0.05

    def __post_init__(self) -> None:
        if self.generator_lr is not None:
            positive("generator_lr", self.generator_lr)
        if self.anchor_weight and not self.warm_up_steps:
            raise ConfigError("anchor_weight needs the warm-up's codes; set warm_up_steps above 0.")
        for name in ("steps", "batch_size", "lr", "warm_up_lr", "r1_every", "ema_half_life", "ema_rampup"):
            positive(name, getattr(self, name))
        not_negative(
            self,
            "r1_gamma",
            "path_weight",
            "mixing",
            "ada_target",
            "feature_weight",
            "anchor_weight",
            "warm_up_steps",
            "head_start",
        )
