"""EGSC-IT's networks (Ma et al., "Exemplar Guided Unsupervised Image-to-Image Translation with Semantic Consistency",
ICLR 2019): two domains with a shared latent space, exemplar statistics and feature masks.

    content of A -> encoder A -> shared encoder (+ noise) -> shared drawer --+
    content of A -> style encoder A -> mask in [1/2, 1] ---------------------+-> drawer B -> (B, 3, H, W) in [-1, 1]
    exemplar of B -> style encoder B -> mean and variance of each channel ---+
"""

import itertools
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.nets.translation import SLOPE, conv

AdaIN = Literal["standard", "egscit_code", "none"]
Domain = Literal["a", "b"]
DOMAINS: tuple[Domain, Domain] = ("a", "b")
RES_BLOCKS = 3
EPS = 1e-5


class Translator(nn.Module):
    """Everything that draws: for each domain an encoder, a drawer and a frozen style encoder, and what they share.

    Args:
        width: channels of the first layers.
        levels: 1 + halvings of the resolution (3 in the paper, 1 for its 28 px digits).
        deviation: of the initial weights.
    """

    def __init__(self, *, width: int = 64, levels: int = 3, deviation: float = 0.02) -> None:
        super().__init__()
        channels = width * 2 ** (levels - 1)
        self.encoders = nn.ModuleDict({domain: Encoder(width, levels) for domain in DOMAINS})
        self.drawers = nn.ModuleDict({domain: Drawer(width, levels) for domain in DOMAINS})
        self.shared_encoder = ResBlock(channels)
        self.shared_drawer = ResBlock(channels)
        self.style_encoders = nn.ModuleDict({domain: Encoder(width, levels) for domain in DOMAINS})
        truncated_init(self, deviation)
        self.style_encoders.requires_grad_(False)

    def trained(self) -> list[nn.Parameter]:
        """Parameters that the translation stage trains: all but the style encoders'."""
        return [value for name, value in self.named_parameters() if not name.startswith("style_encoders")]

    def encode(self, images: Tensor, domain: Domain, noise: Tensor | float = 0.0) -> Tensor:
        """Latents ``(B, C, h, w)`` of images ``(B, 3, H, W)`` of a domain; ``noise`` is standard normal or 0."""
        latents: Tensor = self.shared_encoder(self.encoders[domain](images))
        return latents + noise

    def draw(
        self, latents: Tensor, domain: Domain, mask: Tensor | None, statistics: Tensor, adain: AdaIN = "standard"
    ) -> Tensor:
        """Images ``(B, 3, H, W)`` of a domain.

        Args:
            latents: ``(B, C, h, w)``.
            domain: whose images are drawn.
            mask: ``(B, C, h, w)`` of the content, or ``None``.
            statistics: ``(B, 2, C)`` of the exemplar (see ``statistics``), or ``(1, 2, C)``.
            adain: how they are put in; "none" leaves them out.
        """
        x = self.shared_drawer(latents)
        x = x if mask is None else x * mask
        images: Tensor = self.drawers[domain](adapt(x, statistics, adain))
        return images

    def mask(self, images: Tensor, domain: Domain) -> Tensor:
        """``(B, C, h, w)`` in [1/2, 1] of content images ``(B, 3, H, W)`` of a domain."""
        return 0.5 + 0.5 * self._style(images, domain).sigmoid()

    def statistics(self, images: Tensor, domain: Domain) -> Tensor:
        """``(B, 2, C)``: mean and variance over positions of the exemplars' style features."""
        features = self._style(images, domain).float()
        return torch.stack([features.mean(dim=(2, 3)), features.var(dim=(2, 3), correction=0)], dim=1)

    def _style(self, images: Tensor, domain: Domain) -> Tensor:
        features: Tensor = self.style_encoders[domain](images)
        return features


class MaskNet(nn.Module):
    """An auto-encoder of one domain; its encoder becomes the domain's style encoder.

    Args:
        width: as in ``Translator``; so are ``levels`` and ``deviation``.
    """

    def __init__(self, *, width: int = 64, levels: int = 3, deviation: float = 0.02) -> None:
        super().__init__()
        channels = width * 2 ** (levels - 1)
        self.encoder = Encoder(width, levels)
        self.into_latent = ResBlock(channels)
        self.out_of_latent = ResBlock(channels)
        self.drawer = Drawer(width, levels)
        truncated_init(self, deviation)

    def encode(self, images: Tensor, noise: Tensor | float = 0.0) -> Tensor:
        """Latents ``(B, C, h, w)`` of images ``(B, 3, H, W)``."""
        latents: Tensor = self.into_latent(self.encoder(images))
        return latents + noise

    def draw(self, latents: Tensor) -> Tensor:
        """Images ``(B, 3, H, W)`` of latents."""
        images: Tensor = self.drawer(self.out_of_latent(latents))
        return images


class Encoder(nn.Module):
    """``(B, 3, H, W) -> (B, width 2**(levels - 1), H / 2**(levels - 1), ...)``, without normalisation."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        self.stem = conv(3, width, 7)
        self.down = nn.ModuleList(conv(a, b, 3, 2) for a, b in itertools.pairwise(widths))
        self.res = nn.ModuleList(ResBlock(widths[-1]) for _ in range(RES_BLOCKS))

    def forward(self, images: Tensor) -> Tensor:
        x = F.leaky_relu(self.stem(images), SLOPE)
        for down in self.down:
            x = F.leaky_relu(down(x), SLOPE)
        for block in self.res:
            x = block(x)
        return x


class Drawer(nn.Module):
    """The way back from latents to images in [-1, 1]."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in reversed(range(levels))]
        self.res = nn.ModuleList(ResBlock(widths[0]) for _ in range(RES_BLOCKS))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 3, 2) for a, b in itertools.pairwise(widths))
        self.to_rgb = nn.ConvTranspose2d(width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.res:
            x = block(x)
        for up in self.up:
            height, width = x.shape[2:]
            x = F.leaky_relu(up(x)[..., : 2 * height, : 2 * width], SLOPE)  # the last row and column are cut off
        image: Tensor = self.to_rgb(x)
        return image.tanh()


class ResBlock(nn.Module):
    """x + conv(ReLU(conv(x))), without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, 3)
        self.conv2 = conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + change


class Discriminators(nn.Module):
    """One patch discriminator per domain."""

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        self.of = nn.ModuleDict({domain: Discriminator(width) for domain in DOMAINS})

    def forward(self, images: Tensor, domain: Domain) -> Tensor:
        """Logits ``(B, 1, h, w)`` of images ``(B, 3, H, W)``."""
        logits: Tensor = self.of[domain](images)
        return logits


class Discriminator(nn.Module):
    """Four halvings; activated twice where the release does, and the logit is activated too."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 8 * width]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2) for a, b in itertools.pairwise(widths))
        self.norm = nn.ModuleList(nn.InstanceNorm2d(channels, affine=True) for channels in widths[2:])
        self.head = nn.Conv2d(widths[-1], 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, 1, h, w)`` of images ``(B, 3, H, W)``, each side halved four times and rounded up."""
        x = images
        for index, down in enumerate(self.down):
            x = F.leaky_relu(down(_pad_as_same(x)), SLOPE)
            x = F.leaky_relu(x if index == 0 else self.norm[index - 1](x), SLOPE)
        return F.leaky_relu(self.head(x), SLOPE)


def adapt(x: Tensor, statistics: Tensor, adain: AdaIN) -> Tensor:
    """Put an exemplar's statistics ``(B, 2, C)``, mean and variance, into ``x (B, C, h, w)``.

    "standard" gives each channel the exemplar's mean and standard deviation. "egscit_code" is what the release computes:
    it divides by the variance, scales by the exemplar's mean and adds its variance.
    """
    if adain == "none":
        return x
    values = x.float()
    centred = values - values.mean(dim=(2, 3), keepdim=True)
    variance = values.var(dim=(2, 3), correction=0, keepdim=True)
    mean_of_style, variance_of_style = statistics.float()[:, :, :, None, None].unbind(1)
    if adain == "egscit_code":
        return (mean_of_style * centred / variance.clamp(min=1e-12) + variance_of_style).to(x.dtype)
    scale = ((variance_of_style.clamp(min=0) + EPS) / (variance + EPS)).sqrt()  # walks beyond a code may leave none
    return (centred * scale + mean_of_style).to(x.dtype)


def truncated_init(network: nn.Module, deviation: float = 0.02) -> None:
    """Normal weights, cut at two deviations, and zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            assert module.bias is not None
            nn.init.zeros_(module.bias)


def _pad_as_same(x: Tensor) -> Tensor:
    """Zeros around ``x`` so that a 4 x 4 convolution of stride 2 gives half the size, rounded up."""
    height, width = x.shape[2:]
    return F.pad(x, (1, 1 + width % 2, 1, 1 + height % 2))
