"""Configuration of GenHo, of its source training and of its fine-tuning to pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lowshotgan.checks import not_negative, one_of, positive, power_of_two, whole
from lowshotgan.errors import ConfigError
from lowshotgan.systems.paired_config import check_channels, check_finetuning, check_training
from lowshotgan.systems.perception import check_choice

QUERIES = ("source", "target", "both")
CONTENT = ("none", "low_lr", "full")
JUDGES = ("source", "appearance")
HUNDRED_EPOCHS = 0.99**100
"""The learning rate falls by 0.99 per epoch, over 100 epochs."""


@dataclass(frozen=True)
class GenHoConfig:
    """Constructor arguments of the networks; see ``nets.genho``. Defaults are those of the paper at 64 pixels.

    Attributes:
        resolution: side of the images, a power of two of at least 16.
        cut: side of the content maps, where shared and domain-specific layers meet; by default an eighth of the
            resolution, at least 8.
        z_dim: length of a latent.
        width_base: a map of side s has ``width_base / s`` channels, ...
        width_max: ... but at most this many.
        channels: of the images, 3 or 1 for grey ones, which are read by their luminance; the same in both domains.
        adapted: whether the model has a target domain; set by fine-tuning.
        own_content: whether the target has a content generator of its own; set by fine-tuning.
        shots: number of shots the target was learnt from, whose latents are kept; set by fine-tuning.
    """

    resolution: int = 64
    cut: int | None = None
    z_dim: int = 128
    width_base: int = 4096
    width_max: int = 512
    channels: int = 3
    adapted: bool = False
    own_content: bool = False
    shots: int = 0

    def __post_init__(self) -> None:
        power_of_two("resolution", self.resolution, low=16)
        check_channels(self.channels)
        power_of_two("cut", self.side, low=8, high=self.resolution // 2)
        for name in ("z_dim", "width_base", "width_max"):
            whole(name, getattr(self, name))

    @property
    def side(self) -> int:
        """The cut, resolved."""
        return self.cut if self.cut is not None else max(8, self.resolution // 8)

    @property
    def latent_std(self) -> float:
        return 1.0


@dataclass(frozen=True)
class GenHoTraining:
    """How the source model is trained (Kao et al. 2020, released code, step 1).

    Attributes:
        steps: of the discriminator and of the generator; by default 100 passes over the images.
        batch_size: images per step over all processes.
        lr: Adam's learning rate, betas (0, 0.9).
        lr_final: share of it that is left at the end, by exponential decay.
        flip: mirror images at random.
        bn: "recalibrate" the batch-norm statistics when training ends, or keep the "running" ones.
        ema_half_life: of the averaged generator, in steps; not in the paper. 0 for none; stages below 200 steps have none.
        warm_up_steps: before the adversarial steps, of the generator as the decoder of a variational autoencoder, whose
            encoder is discarded: not in the paper; gives whole shapes after minutes on a CPU. 0 for none.
        anchor_weight: of the autoencoder's loss in the adversarial steps, if there was a warm-up.
        kl_weight: of the divergence of the autoencoder's codes from the prior; redrawing has weight 1.
    """

    steps: int | None = None
    batch_size: int = 64
    lr: float = 2e-4
    lr_final: float = HUNDRED_EPOCHS
    flip: bool = False
    bn: str = "recalibrate"
    ema_half_life: float = 700.0
    warm_up_steps: int = 0
    anchor_weight: float = 5.0
    kl_weight: float = 5e-4

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "parity": {"bn": "running", "ema_half_life": 0.0},
    }

    def __post_init__(self) -> None:
        check_training(self)
        positive("lr_final", self.lr_final)
        not_negative(self, "warm_up_steps", "anchor_weight", "kl_weight")


@dataclass(frozen=True)
class GenHoFineTuning:
    """How the target is learnt: content encoder (step 2), appearance (3), search of latents (4), joint tuning (5).

    Attributes:
        steps: of the joint tuning; ``None`` for 100 passes over the shots as in the release.
        appearance_steps: of the appearance generator on encoded shots; ``None`` as above.
        encoder_steps: of the content encoder; ``None`` for 2,000, or ``encoder_passes`` passes over the source images
            if those are given and that is more.
        encoder_passes: see ``encoder_steps``; 100 in the release.
        batch_size: most images or shots per step over all processes; fewer than 8 shots are repeated.
        lr: Adam's learning rate, betas (0, 0.9).
        lr_final: share of it that is left at the end of each stage, by exponential decay.
        perceptual_weight: of the perceptual distance of redrawn images in the content encoder's stage (AR); the
            discriminator's loss (CA) has the rest of 1.
        target_weight: of the perceptual distance in the other two stages (AR, FR); the rest of 1 is adversarial.
        pair_weight: of the squared difference between the content maps of partners (PS).
        pair_every: steps between those on which PS counts.
        prior_query: what is looked up among the content maps drawn from noise: the encoded "source" partner, the
            "target" shot as in the release, or "both". Encoding the target asks an encoder that was trained on source
            images.
        bank: number of latents searched.
        refine_steps: of improving each latent found so that it redraws the source partner; not in the paper.
        noise_adversarial: the joint tuning also judges images drawn from noise; in the release the target's generator
            sees the latents of the shots alone.
        train_content: whether the joint tuning also trains the content generator: "none" (what the release does),
            "low_lr" (a tenth of the rate) or "full" (what the paper draws).
        discriminator_init: the joint tuning begins with the "source" discriminator, or that of the "appearance" stage.
        perceptual: "vgg", "disc", "lsg1", "pixels", "auto" or "vgg_or_disc"; see ``systems.perception.load_perception``.
        perceptual_norm: "none" or "imagenet" normalisation for "vgg".
        partners: "given", or "invert" to search partners for targets that come without: an extension for which the paper
            claims nothing. ``finetune`` also takes a function that makes the partner of a target (PIL images).
        flip: mirror source images at random; shots are not mirrored, because a latent belongs to each.
        bn: as in ``GenHoTraining``, for the appearance generator of the target; so is ``ema_half_life``.
    """

    steps: int | None = 400
    appearance_steps: int | None = 200
    encoder_steps: int | None = None
    encoder_passes: int = 20
    batch_size: int = 64
    lr: float = 2e-4
    lr_final: float = HUNDRED_EPOCHS
    perceptual_weight: float = 0.75
    target_weight: float = 0.5
    pair_weight: float = 1e-4
    pair_every: int = 50
    prior_query: str = "source"
    bank: int = 10_000
    refine_steps: int = 200
    noise_adversarial: bool = True
    train_content: str = "none"
    discriminator_init: str = "source"
    perceptual: str = "auto"
    perceptual_norm: str = "none"
    partners: str = "given"
    flip: bool = False
    bn: str = "recalibrate"
    ema_half_life: float = 70.0

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "parity": {
            "steps": None,
            "appearance_steps": None,
            "encoder_passes": 100,
            "prior_query": "target",
            "refine_steps": 0,
            "noise_adversarial": False,
            "perceptual": "vgg_or_disc",
            "bn": "running",
            "ema_half_life": 0.0,
        },
    }

    def __post_init__(self) -> None:
        check_finetuning(self)
        positive("lr_final", self.lr_final)
        for name in ("appearance_steps", "encoder_steps"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        for name in ("bank", "pair_every", "encoder_passes"):
            positive(name, getattr(self, name))
        for name in ("perceptual_weight", "target_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be from 0 to 1, got {getattr(self, name)!r}.")
        not_negative(self, "pair_weight", "refine_steps")
        one_of("prior_query", self.prior_query, QUERIES)
        one_of("train_content", self.train_content, CONTENT)
        one_of("discriminator_init", self.discriminator_init, JUDGES)
        check_choice(self.perceptual, self.perceptual_norm)
