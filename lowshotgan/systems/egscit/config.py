"""Configuration of EGSC-IT and of its two stages of training."""

from dataclasses import dataclass

from lowshotgan.checks import not_negative, one_of, positive
from lowshotgan.errors import ConfigError

ADAIN = ("standard", "egscit_code", "none")
PERCEPTUAL = ("auto", "vgg19", "lsg1", "random")


@dataclass(frozen=True)
class EGSCITConfig:
    """Constructor arguments of the networks; see ``nets.egscit``.

    Attributes:
        resolution: side of the images, or their height; a multiple of 2 to the power of ``levels`` - 1, at least 20.
        image_width: their width where they are not square; as ``resolution``.
        width: channels of the first layers of the generator.
        levels: 1 + halvings of the resolution; the paper has 3, and 1 for 28 px digits.
        discriminator_width: channels of the discriminators' first layer.
        adain: how an exemplar's statistics are put in: "standard", "egscit_code" (what the release computes), or "none".
        mask: whether the content's feature mask is used.
        deviation: of the generator's initial weights. The release's 0.02 suits its 64 channels; with a quarter of them
            residual blocks begin as next to nothing, and 0.08 makes the networks as lively.
    """

    resolution: int = 128
    width: int = 64
    levels: int = 3
    discriminator_width: int = 64
    adain: str = "standard"
    mask: bool = True
    image_width: int | None = None
    deviation: float = 0.02

    def __post_init__(self) -> None:
        for name in ("resolution", "width", "levels", "discriminator_width"):
            positive(name, getattr(self, name))
        positive("deviation", self.deviation)
        one_of("adain", self.adain, ADAIN)
        multiple = 2 ** (self.levels - 1)
        least = max(20, 4 * multiple)  # the discriminators normalise what is left of 20 pixels after four halvings
        for name in ("resolution", "image_width"):
            side = getattr(self, name)
            if side is not None and (side % multiple or side < least):
                raise ConfigError(f"{name} must be a multiple of {multiple} and at least {least}, got {side!r}.")

    @property
    def least_side(self) -> int:
        """The least height and width that the generator takes: images are padded by 3 by reflection, latents by 1."""
        return int(max(4, 2**self.levels))


@dataclass(frozen=True)
class EGSCITTraining:
    """How EGSC-IT is trained on two domains (Ma et al. 2019, section 3 and release): mask nets, then translation.

    Attributes:
        steps: of the translation stage; the generator takes one each, the discriminators every ``judge_every``-th.
        mask_steps: of the stage before it; both sides take one each.
        batch_size: images per domain and step over all processes.
        lr: Adam's learning rate, betas (0.5, 0.999); it falls as (1 - t / T)^0.9.
        warm_up: steps of each stage over which the learning rate rises; 0 in the release. High rates need it: a colour
            channel that is driven to an end of tanh in the first steps may never come back.
        judge_every: 5 in the release.
        adversarial_weight: of the least squares losses.
        reconstruction_weight: of self-reconstructions.
        cycle_weight: of images translated there and back.
        latent_weight: of the mean squared latents.
        content_weight: of the semantic difference; 10 to 500 in the paper, for VGG-19 with Caffe's weights.
        style_weight: of the style difference; 1000 to 10000 there.
        perceptual: network of both differences: "vgg19" (torchvision's), "lsg1" (the library's own), "random", or "auto",
            the first that is on this disk.
        flip: mirror images at random.
        zoom: least share of the sides kept by random cuts, which half of the images get; 1 turns them off.
    """

    steps: int = 100_000
    mask_steps: int = 100_000
    batch_size: int = 8
    lr: float = 1e-4
    warm_up: int = 0
    judge_every: int = 5
    adversarial_weight: float = 10.0
    reconstruction_weight: float = 100.0
    cycle_weight: float = 100.0
    latent_weight: float = 0.1
    content_weight: float = 10.0
    style_weight: float = 5000.0
    perceptual: str = "auto"
    flip: bool = True
    zoom: float = 0.8

    def __post_init__(self) -> None:
        for name in ("steps", "mask_steps", "batch_size", "lr", "judge_every"):
            positive(name, getattr(self, name))
        not_negative(self, "warm_up", *(name for name in vars(self) if name.endswith("_weight")))
        if not 0.1 <= self.zoom <= 1:
            raise ConfigError(f"zoom must be from 0.1 to 1, got {self.zoom!r}.")
        one_of("perceptual", self.perceptual, PERCEPTUAL)
