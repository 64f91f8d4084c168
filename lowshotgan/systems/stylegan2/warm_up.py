"""Warm-up: teach the networks to redraw images before they compete.

    image -> discriminator trunk -> head -> w -> synthesis -> image          (stage "warm_up")
    z -> mapping -> w distributed as the w of the images                     (stage "prior")

A GAN trained from scratch spends most of a small budget on learning to draw at all. Here the synthesis network first
learns to decode as half of an autoencoder, whose encoder is the discriminator's trunk with a head that is discarded
afterwards. Then the mapping network is fitted to the Gaussian with the mean and covariance of the encoded images, so
adversarial training starts from blurred but whole images and from useful features.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.data.dataset import ImageSet
from lowshotgan.data.images import from_uint8
from lowshotgan.nets.feature_heads import FeatureHeads
from lowshotgan.nets.stylegan2 import Discriminator, Generator
from lowshotgan.systems.stylegan2.config import SourceTraining
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

STYLE_NOISE = 0.1
"""Standard deviation of the noise on w, whose own is held near 1: neighbouring styles draw similar images."""
SCALE_WEIGHT = 0.01
PRIOR_STEPS = 2000
PRIOR_LR = 0.1
"""The mapping network's weights are stored a hundred times larger than they act, so its steps must be large too."""
ENCODED = 4000
"""At most this many images are encoded to estimate the distribution of styles."""


Redrawing = Callable[[Tensor], Tensor]


class StyleHead(nn.Module):
    """Discriminator features ``(B, C)`` to styles ``(B, w_dim)``."""

    def __init__(self, features: int, w_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, w_dim)

    def forward(self, features: Tensor) -> Tensor:
        styles: Tensor = self.linear(features)
        return styles


class WarmUp:
    """The two stages, and what lies between them.

    Args:
        generator: live; its synthesis network, then its mapping network is trained.
        averaged: the running average of ``generator``.
        discriminator: its trunk is trained.
        heads: if given, its frozen maps add a perceptual distance.
        training: gives learning rate and the distance's weight.
    """

    def __init__(
        self,
        generator: Generator,
        averaged: Generator,
        discriminator: Discriminator,
        heads: FeatureHeads | None,
        training: SourceTraining,
    ) -> None:
        self.generator, self.averaged, self.discriminator = generator, averaged, discriminator
        self.heads, self.training = heads, training
        self.head = StyleHead(discriminator.b4.fc.weight.shape[0], generator.w_dim)
        self.head.to(next(generator.parameters()).device)

    def redrawing_stage(self, batches: Batches, *, steps: int) -> Stage:
        """Train trunk, head and synthesis as an autoencoder."""
        networks: list[nn.Module] = [self.generator.synthesis, self.discriminator, self.head]
        params = [parameter for network in networks for parameter in network.parameters()]
        weights = {"reconstruction": 1.0, "scale": SCALE_WEIGHT, "perceptual": self.training.feature_weight}
        return Stage(
            name="warm_up",
            steps=steps,
            batches=batches,
            groups={"autoencoder": ParamGroup(params, lr=self.training.lr, betas=(0.9, 0.99))},
            phases=[Phase("warm_up", "autoencoder", self.redrawing_terms, weights)],
            modules=self._modules(),
            averages={"generator": (self.generator, self.averaged)},
            ema_half_life=50.0,
        )

    def redrawing_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Mean absolute error over a pyramid of resolutions, and how far the styles' spread is from 1; ``(B,)``."""
        styles = self.encode(batch.images)
        noisy = styles + STYLE_NOISE * batch.draws.normal(*styles.shape)
        drawn = self.generator.synthesis(self.generator.broadcast(noisy), noise="none")
        assert isinstance(drawn, Tensor)
        scale = (styles.square().mean(dim=1) - 1.0).square()
        terms = {"reconstruction": pyramid_error(drawn, batch.images), "scale": scale}
        if self.heads is not None:
            terms["perceptual"] = map_distance(self.heads.maps(drawn), self.heads.maps(batch.images))
        return terms

    def encode(self, images: Tensor) -> Tensor:
        """Styles ``(B, w_dim)`` of images ``(B, 3, R, R)`` in [-1, 1]."""
        _, features = self.discriminator(images, return_features=True)
        styles: Tensor = self.head(features["b4.fc"])
        return styles

    def frozen_redrawing(self) -> Redrawing:
        """How far the generator is from redrawing images through the encoder as it is now: ``(B, ...)`` to ``(B,)``."""
        encoder = copy.deepcopy(self.discriminator).eval().requires_grad_(False)
        head = copy.deepcopy(self.head).eval().requires_grad_(False)

        def redraw(images: Tensor) -> Tensor:
            with torch.no_grad():
                _, features = encoder(images, return_features=True)
                styles = head(features["b4.fc"])
            drawn = self.generator.synthesis(self.generator.broadcast(styles), noise="none")
            assert isinstance(drawn, Tensor)
            error = pyramid_error(drawn, images)
            if self.heads is not None:
                distance = map_distance(self.heads.maps(drawn), self.heads.maps(images))
                error = error + self.training.feature_weight * distance
            return error

        return redraw

    @torch.no_grad()
    def style_distribution(self, images: ImageSet) -> tuple[Tensor, Tensor]:
        """Mean ``(w_dim,)`` and root of the covariance ``(w_dim, w_dim)`` of the styles of ``images``."""
        device = next(self.generator.parameters()).device
        chosen = torch.arange(min(len(images), ENCODED))
        styles = torch.cat([self.encode(from_uint8(images.uint8(part)).to(device)) for part in chosen.split(64)])
        mean = styles.mean(dim=0)
        covariance = (styles - mean).T.double() @ (styles - mean).double() / len(styles)
        values, vectors = torch.linalg.eigh(covariance.cpu())
        root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
        return mean, root.to(mean)

    def prior_stage(
        self, mean: Tensor, root: Tensor, batches: Batches, *, preview: Callable[[], Tensor] | None = None
    ) -> Stage:
        """Fit the mapping network to ``mean + root @ z``."""
        mapping = self.generator.mapping
        mapping.w_avg.copy_(mean)

        def terms(batch: Batch) -> Mapping[str, Tensor]:
            z = batch.draws.normal(256, self.generator.z_dim)
            unit = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
            wanted = mean + F.pad(unit, (0, max(0, len(mean) - unit.shape[1])))[:, : len(mean)] @ root
            return {"fit": (mapping(z) - wanted).square().mean(dim=1)}

        return Stage(
            name="prior",
            steps=PRIOR_STEPS,
            batches=batches,
            groups={"mapping": ParamGroup(list(mapping.parameters()), lr=PRIOR_LR, betas=(0.9, 0.99))},
            phases=[Phase("prior", "mapping", terms, {"fit": 1.0})],
            modules=self._modules(),
            averages={"generator": (self.generator, self.averaged)},
            ema_half_life=50.0,
            preview=preview,
        )

    def _modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "head": self.head}


def map_distance(drawn: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """``(B,)`` squared difference of unit-length feature vectors, averaged over positions and scales; in [0, 4]."""
    differences = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1).mean(dim=(1, 2))
        for a, b in zip(drawn, wanted, strict=True)
    ]
    return torch.stack(differences).mean(dim=0)


def pyramid_error(images: Tensor, target: Tensor) -> Tensor:
    """``(B,)`` mean absolute difference, averaged over the resolutions R, R/2 and R/4."""
    errors = []
    for _ in range(3):
        errors.append((images - target).abs().mean(dim=(1, 2, 3)))
        images, target = F.avg_pool2d(images, 2), F.avg_pool2d(target, 2)
    return torch.stack(errors).mean(dim=0)
