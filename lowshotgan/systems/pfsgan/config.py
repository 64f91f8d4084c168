"""Configuration of PFS-GAN, of its source training and of its fine-tuning to pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lowshotgan.checks import not_negative, one_of, positive, power_of_two, whole
from lowshotgan.errors import ConfigError
from lowshotgan.systems.paired_config import check_channels, check_finetuning, check_training

ENCODERS = ("vgg", "conv")
ENCODER_INIT = ("auto", "imagenet", "random")
FEATURES = ("auto", "vgg", "lsg1", "random")
APPEARANCE = ("appearance", "content")
ANCHORS = ("shot", "drawn")
JUDGED = ("redrawn", "novel")


@dataclass(frozen=True)
class PFSGANConfig:
    """Constructor arguments of the networks; see ``nets.pfsgan``. Defaults are those of the paper at 64 pixels.

    Attributes:
        resolution: side of the images, a power of two of at least 32, with ``encoder="conv"`` 16.
        content_dim: length of the content code, the second part of a latent.
        appearance_dim: length of the appearance code, the first part.
        width: channels of the generators and discriminators.
        encoder: "vgg" as in the paper, or "conv", which is LaDo's and much smaller.
        encoder_width: channels of "conv".
        channels: of the images, 3 or 1 for grey ones, which are read by their luminance; the same in both domains.
        adapted: whether the model has a target domain; set by fine-tuning.
    """

    resolution: int = 64
    content_dim: int = 64
    appearance_dim: int = 64
    width: int = 128
    encoder: str = "vgg"
    encoder_width: int = 128
    channels: int = 3
    adapted: bool = False

    def __post_init__(self) -> None:
        one_of("encoder", self.encoder, ENCODERS)
        power_of_two("resolution", self.resolution, low=16)
        check_channels(self.channels)
        if self.encoder == "vgg" and self.resolution < 32:
            raise ConfigError(f"encoder='vgg' halves an image five times; use encoder='conv' at {self.resolution} px.")
        for name in ("content_dim", "appearance_dim", "width", "encoder_width"):
            whole(name, getattr(self, name))

    @property
    def latent_std(self) -> float:
        return 1.0


@dataclass(frozen=True)
class PFSGANTraining:
    """How the source model is trained (Teng et al. 2021, released code, stage 1).

    Attributes:
        steps: of generator and encoders; by default 100 passes over the images.
        batch_size: images per step over all processes.
        lr: Adam's learning rate of all networks.
        discriminator_updates: of the discriminator in one step.
        adversarial_from: the adversarial terms are switched on, for good, after the first step whose reconstruction
            term (IR) is below this.
        feature_weight: of the features in IR, and of those that must survive a random appearance (PERC).
        code_weight: of the squared difference between a random appearance and the one read from its image (LAT).
        kl_weight: of the divergence of codes from the prior (KL), a mean over batch and elements.
        adversarial_weight: of the adversarial terms on both sides.
        encoder_init: "imagenet" starts the VGG encoders from torchvision's weights, if their file is on this disk;
            "random" does not; "auto" takes the first that is possible. A model that was trained before keeps its own.
        features: network of the feature terms: "vgg" (VGG-16 from torchvision's file), "lsg1" (the library's own),
            "random", or "auto", the first that can be had offline; which it was is logged.
        flip: mirror images at random.
        bn: "recalibrate" the batch-norm statistics when training ends, or keep the "running" ones.
        ema_half_life: of the averaged generator, in steps; not in the paper. 0 for none; stages below 200 steps have none.
    """

    steps: int | None = None
    batch_size: int = 64
    lr: float = 2e-5
    discriminator_updates: int = 5
    adversarial_from: float = 0.1
    feature_weight: float = 0.01
    code_weight: float = 0.1
    kl_weight: float = 0.1
    adversarial_weight: float = 0.01
    encoder_init: str = "auto"
    features: str = "auto"
    flip: bool = False
    bn: str = "recalibrate"
    ema_half_life: float = 700.0

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "parity": {"bn": "running", "ema_half_life": 0.0},
    }

    def __post_init__(self) -> None:
        check_training(self)
        whole("discriminator_updates", self.discriminator_updates)
        positive("adversarial_from", self.adversarial_from)
        one_of("encoder_init", self.encoder_init, ENCODER_INIT)
        one_of("features", self.features, FEATURES)
        not_negative(self, "feature_weight", "code_weight", "kl_weight", "adversarial_weight")


@dataclass(frozen=True)
class PFSGANFineTuning:
    """How the target model is trained on pairs and source images (stage 2).

    Attributes:
        steps: of the target generator and its appearance encoder; the release has up to 8,000.
        batch_size: most pairs per step over all processes; fewer than 8 are repeated.
        source_batch_size: source images per step over all processes, whose content is new to the target.
        lr: Adam's learning rate of all networks.
        discriminator_updates: of the patch discriminator in one step, on the same images.
        reconstruction_weight: of all terms of shots that are redrawn (IR, PLAIN, LAT, KL).
        plain_weight: within those, of shots in their own colours; shots in shifted ones (IR) have 1.
        feature_weight: of features in both.
        code_weight: of the squared difference between an appearance and the one read from the redrawn image (LAT).
        kl_weight: of the divergence of appearances from the prior (KL), a mean over batch and elements.
        adversarial_weight: of the discriminator's opinion of new content in the target's appearance.
        image_weight: within that, of the logit of whole images; patches have 1.
        relation_weight: of the distances the relation network measures (REL).
        shift: how far the colours of shots are moved at random in Lab, as a share of the release's; 0 for flat palettes
            whose hues must not change.
        appearance_init: the target's appearance encoder starts from the source's "appearance" or, as in the release,
            from the "content" encoder.
        real_image: the whole-image logit calls "redrawn" shots real or, as in the release, the "novel" images that it
            also calls false.
        anchor: the relation network learns distances of new content from the first "shot" or, as in the release, from
            the first image "drawn", whose content is another one.
        relation_joint: the relation network also takes a step on the generator's loss, as in the release.
        features: as in ``PFSGANTraining``.
        partners: "given", or "invert" to search partners for targets that come without: an extension for which the paper
            claims nothing. ``finetune`` also takes a function that makes the partner of a target (PIL images).
        flip: mirror pairs and source images at random.
        bn: as in ``PFSGANTraining``; so is ``ema_half_life``.
    """

    steps: int = 4000
    batch_size: int = 64
    source_batch_size: int = 50
    lr: float = 2e-4
    discriminator_updates: int = 5
    reconstruction_weight: float = 1.0
    plain_weight: float = 0.1
    feature_weight: float = 0.1
    code_weight: float = 0.1
    kl_weight: float = 0.001
    adversarial_weight: float = 1.0
    image_weight: float = 0.01
    relation_weight: float = 1.0
    shift: float = 1.0
    appearance_init: str = "appearance"
    real_image: str = "redrawn"
    anchor: str = "shot"
    relation_joint: bool = False
    features: str = "auto"
    partners: str = "given"
    flip: bool = False
    bn: str = "recalibrate"
    ema_half_life: float = 70.0

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "parity": {
            "steps": 8000,
            "appearance_init": "content",
            "real_image": "novel",
            "anchor": "drawn",
            "relation_joint": True,
            "bn": "running",
            "ema_half_life": 0.0,
        },
    }

    def __post_init__(self) -> None:
        check_finetuning(self)
        whole("discriminator_updates", self.discriminator_updates)
        if positive("source_batch_size", self.source_batch_size) < 2:
            raise ConfigError("source_batch_size must be at least 2: distances need two contents.")
        one_of("appearance_init", self.appearance_init, APPEARANCE)
        one_of("real_image", self.real_image, JUDGED)
        one_of("anchor", self.anchor, ANCHORS)
        one_of("features", self.features, FEATURES)
        not_negative(self, "reconstruction_weight", "plain_weight", "feature_weight", "code_weight", "kl_weight")
        not_negative(self, "adversarial_weight", "image_weight", "relation_weight", "shift")
