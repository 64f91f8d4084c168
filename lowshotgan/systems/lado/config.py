"""Configuration of LaDo, of its source training and of its fine-tuning to pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lowshotgan.checks import not_negative, positive, power_of_two, whole
from lowshotgan.systems.paired_config import check_channels, check_finetuning, check_training
from lowshotgan.systems.perception import check_choice


@dataclass(frozen=True)
class LaDoConfig:
    """Constructor arguments of the networks; see ``nets.lado``. Defaults are those of the paper at 64 pixels.

    Attributes:
        resolution: side of the images, a power of two of at least 16.
        content_dim: length of the content code, the first part of a latent.
        appearance_dim: length of the appearance code, the second part.
        width: channels of every layer.
        channels: of the images, 3 or 1 for grey ones, which are read by their luminance; the same in both domains.
        prior_std: standard deviation of latents drawn from noise. The release draws them with exp(1 / 2), because it
            passes 1 as the log variance; 1 is what the divergence term assumes.
        adapted: whether the model has a target domain; set by fine-tuning.
    """

    resolution: int = 64
    content_dim: int = 128
    appearance_dim: int = 64
    width: int = 128
    prior_std: float = 1.0
    channels: int = 3
    adapted: bool = False

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "parity": {"prior_std": 1.6487212707001282}}

    def __post_init__(self) -> None:
        power_of_two("resolution", self.resolution, low=16)
        check_channels(self.channels)
        positive("prior_std", self.prior_std)
        for name in ("content_dim", "appearance_dim", "width"):
            whole(name, getattr(self, name))

    @property
    def latent_std(self) -> float:
        return self.prior_std


@dataclass(frozen=True)
class LaDoTraining:
    """How the source model is trained (Kao et al. 2020, released code, stage 1).

    Attributes:
        steps: of the discriminator, the generator and the encoders; by default 100 passes over the images.
        batch_size: images per step over all processes.
        lr: Adam's learning rate of all networks, betas (0, 0.9).
        lr_decay: factor of the learning rate per pass over the images.
        image_weight: of the absolute difference between images and their reconstructions (IR).
        code_weight: of the absolute difference between codes and those of the reconstruction (LR).
        kl_weight: of the divergence of codes from the prior (KL), a mean over the batch. The release sums over its
            batch of 64 with weight 1e-5.
        pair_weight: of the difference between the content codes of partners (PS), if pairs are given.
        pair_norm: divide PS by the spread of the codes, so that it cannot be lowered by shrinking them.
        cross_adversarial: judge also images with the content of a target and the appearance of its source partner,
            which the paper draws and the release leaves out; needs pairs.
        flip: mirror images at random.
        bn: "recalibrate" the batch-norm statistics when training ends, or keep the "running" ones.
        ema_half_life: of the averaged generator, in steps; not in the paper. 0 for none; stages below 200 steps have none.
    """

    steps: int | None = None
    batch_size: int = 64
    lr: float = 1e-4
    lr_decay: float = 0.99
    image_weight: float = 0.1
    code_weight: float = 1e-4
    kl_weight: float = 6.4e-4
    pair_weight: float = 1e-3
    pair_norm: bool = False
    cross_adversarial: bool = False
    flip: bool = False
    bn: str = "recalibrate"
    ema_half_life: float = 700.0

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "parity": {"bn": "running", "ema_half_life": 0.0},
    }

    def __post_init__(self) -> None:
        check_training(self)
        positive("lr_decay", self.lr_decay)
        not_negative(self, "image_weight", "code_weight", "kl_weight", "pair_weight")


@dataclass(frozen=True)
class LaDoFineTuning:
    """How the target model is trained on pairs (stage 2), after aligning the content encoder if it never saw pairs.

    Attributes:
        steps: of the target networks; ``None`` for 100 passes over the pairs as in the release.
        batch_size: most pairs per step over all processes; fewer than 8 are repeated.
        lr: Adam's learning rate, betas (0, 0.9), constant.
        cross_weight: of the perceptual distance of images with the content of the source partner (PG).
        straight_weight: of that of images with the content of the target itself (IR).
        kl_weight: of the divergence of appearance codes from the prior (KL), a mean over the batch. The release sums
            over its batch of 32 with weight 1e-5.
        noise_adversarial: judge also images drawn from noise; in the release the target generator sees encoded codes
            only.
        align_steps: of the content encoder alone, on source images and pairs, before the target is begun; 0 for a model
            that was trained with these pairs.
        image_weight: of IR in the alignment; ``code_weight``, ``pair_weight`` and ``pair_norm`` as in ``LaDoTraining``.
        perceptual: "vgg", "disc", "lsg1", "pixels", "auto" or "vgg_or_disc"; see ``systems.perception.load_perception``.
        perceptual_norm: "none" or "imagenet" normalisation for "vgg".
        partners: "given", or "invert" to search partners for targets that come without: an extension for which the paper
            claims nothing. ``finetune`` also takes a function that makes the partner of a target (PIL images).
        flip: mirror pairs at random.
        bn: as in ``LaDoTraining``; so is ``ema_half_life``.
    """

    steps: int | None = 400
    batch_size: int = 32
    lr: float = 1e-4
    cross_weight: float = 0.6
    straight_weight: float = 0.6
    kl_weight: float = 3.2e-4
    noise_adversarial: bool = False
    align_steps: int = 500
    image_weight: float = 0.1
    code_weight: float = 1e-4
    pair_weight: float = 1e-3
    pair_norm: bool = False
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
            "align_steps": 0,
            "perceptual": "vgg_or_disc",
            "bn": "running",
            "ema_half_life": 0.0,
        },
    }

    def __post_init__(self) -> None:
        check_finetuning(self)
        check_choice(self.perceptual, self.perceptual_norm)
        not_negative(self, "cross_weight", "straight_weight", "kl_weight", "align_steps")
        not_negative(self, "image_weight", "code_weight", "pair_weight")
