"""Does a model copy its training images?

For every fake: the perceptual distance to its nearest training image (or that image mirrored), divided by the
distance between that training image and *its* nearest neighbour among the others. A fake far closer to a
training image than training images are to each other, and alike in its pixels too (structural similarity), is
a copy. Both comparisons allow a shift of two pixels, because a moved copy is still a copy.

A second, threshold-free answer needs as many held-out images of the same kind: the share of fakes whose
nearest neighbour is a training image rather than a held-out one. One half means no memorisation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lowshotgan.data.images import image_grid
from lowshotgan.errors import ConfigError
from lowshotgan.metrics.extractors import Extractor, check_images
from lowshotgan.metrics.perceptual import pairwise_perceptual, perceptual_vectors
from lowshotgan.metrics.similarity import ssim

COPY_RATIO: Mapping[str, float] = {"lsg1": 0.07}
"""Ratio below which a fake is suspect, calibrated per extractor (docs/metrics.md tells how)."""

UNCALIBRATED_RATIO = 0.3
"""The value published for LPIPS, for extractors without an entry above."""

COPY_SSIM = 0.75

REACH = 2
"""A copy may sit this many pixels beside its original, in every direction."""

CANDIDATES = 3
"""So many training images, the nearest ones before any shift, are tried with shifts."""


@dataclass(frozen=True)
class CopiedPair:
    """A fake and the training image it resembles most.

    Attributes:
        fake: index of the fake.
        train: index of the training image.
        mirrored: whether the mirrored training image is the nearer one.
        ratio: distance to it over that image's distance to its own nearest neighbour; NaN with one training
            image.
        ssim: structural similarity to it, in [-1, 1].
    """

    fake: int
    train: int
    mirrored: bool
    ratio: float
    ssim: float


@dataclass(frozen=True)
class Memorization:
    """What was found.

    Attributes:
        rate: share of fakes that count as copies, in [0, 1]; NaN with one training image.
        pairs: one per fake, nearest to copying first.
        threshold: ratio below which (with enough SSIM) a fake counts as a copy.
        ssim_threshold: structural similarity above which it does.
        held_out_share: share of fakes nearer to a training than to a held-out image; ``None`` without
            held-out images.
        calibrated: whether the threshold was calibrated for this extractor.
    """

    rate: float
    pairs: tuple[CopiedPair, ...]
    threshold: float
    ssim_threshold: float
    held_out_share: float | None
    calibrated: bool

    @property
    def copies(self) -> tuple[CopiedPair, ...]:
        """The pairs that count as copies, nearest first."""
        return tuple(p for p in self.pairs if _is_copy(p.ratio, p.ssim, self.threshold, self.ssim_threshold))

    @property
    def median_ratio(self) -> float:
        """Median over fakes of the distance ratio; falls towards 0 as a model turns to copying. NaN for K = 1."""
        return float(torch.tensor([pair.ratio for pair in self.pairs]).median())

    def draw(self, fake: Tensor, train: Tensor, *, n: int = 8) -> Image.Image:
        """The n fakes nearest to copying, above the training images they resemble (mirrored where nearer).

        Args:
            fake: the ``(N, 3, H, W)`` uint8 fakes that were measured.
            train: the ``(K, 3, H, W)`` uint8 training images, of the same size.
            n: pairs shown.
        """
        shown = self.pairs[:n]
        below = [train[p.train].flip(-1) if p.mirrored else train[p.train] for p in shown]
        return image_grid(torch.stack([fake[p.fake] for p in shown] + below), columns=len(shown))


def memorization(
    fake: Tensor,
    train: Tensor,
    *,
    extractor: Extractor,
    held_out: Tensor | None = None,
    threshold: float | None = None,
    ssim_threshold: float = COPY_SSIM,
    seed: int = 0,
) -> Memorization:
    """Compare fakes with the training images.

    Args:
        fake: ``(N, 3, H, W)`` uint8, N >= 1.
        train: ``(K, 3, H, W)`` uint8, K >= 1, all images the model was trained on.
        extractor: gives the perceptual distance.
        held_out: ``(M, 3, H, W)`` uint8 images of the same kind that the model never saw.
        threshold: ratio below which a fake is suspect; by default the one calibrated for the extractor.
        ssim_threshold: structural similarity a copy must exceed.
        seed: of the draw that makes the training and held-out sets equally large.

    Raises:
        ConfigError: if a set is empty or the image sizes differ.
    """
    for images in (fake, train):
        check_images(images)
    if not len(fake) or not len(train) or fake.shape[1:] != train.shape[1:]:
        raise ConfigError(
            f"memorisation needs fakes and training images of one size, got {tuple(fake.shape)} and "
            f"{tuple(train.shape)}; prepare both at the model's resolution."
        )
    vectors = perceptual_vectors(extractor.maps, fake)
    known = perceptual_vectors(extractor.maps, with_mirrored(train))
    pairs = _pairs(fake, train, vectors, known, extractor)
    limit = threshold if threshold is not None else COPY_RATIO.get(extractor.name, UNCALIBRATED_RATIO)
    copies = sum(_is_copy(pair.ratio, pair.ssim, limit, ssim_threshold) for pair in pairs)
    return Memorization(
        rate=copies / len(pairs) if len(train) > 1 else float("nan"),
        pairs=tuple(pairs),
        threshold=limit,
        ssim_threshold=ssim_threshold,
        held_out_share=_held_out_share(vectors, known, held_out, extractor, seed),
        calibrated=threshold is not None or extractor.name in COPY_RATIO,
    )


def with_mirrored(images: Tensor) -> Tensor:
    """``(2 K, 3, H, W)``: the images, then the same images mirrored left to right."""
    return torch.cat([images, images.flip(-1)])


def _own_distances(known: Tensor) -> Tensor:
    """``(K,)`` distance of each training image to the nearest other one, mirrored or not; NaN for K = 1."""
    count = len(known) // 2
    if count == 1:
        return torch.full((1,), float("nan"))
    distances = pairwise_perceptual(known[:count], known)  # (K, 2 K)
    own = torch.eye(count, dtype=torch.bool).repeat(1, 2)
    return distances.masked_fill(own, float("inf")).amin(1)


def _pairs(fake: Tensor, train: Tensor, vectors: Tensor, known: Tensor, extractor: Extractor) -> list[CopiedPair]:
    nearest, index, likeness = _resembled(fake, with_mirrored(train), vectors, known, extractor)
    ratios = nearest / _own_distances(known)[index % len(train)].clamp(min=1e-12)
    order = (ratios if len(train) > 1 else nearest).argsort().tolist()
    return [
        CopiedPair(
            fake=i,
            train=int(index[i]) % len(train),
            mirrored=int(index[i]) >= len(train),
            ratio=float(ratios[i]),
            ssim=float(likeness[i]),
        )
        for i in order
    ]


def _resembled(
    fake: Tensor, both: Tensor, vectors: Tensor, known: Tensor, extractor: Extractor
) -> tuple[Tensor, Tensor, Tensor]:
    """For each fake ``(N,)``: distance to the nearest of ``both``, its index, and the SSIM to it."""
    distances = pairwise_perceptual(vectors, known)
    nearest, index = distances.min(1)
    likeness = torch.full_like(nearest, -1)
    for chosen in distances.argsort(dim=1)[:, :CANDIDATES].T:
        shifted = _aligned(fake, both[chosen])
        moved = (perceptual_vectors(extractor.maps, shifted) - known[chosen]).square().sum(1)
        distance = torch.minimum(distances.gather(1, chosen[:, None])[:, 0], moved)
        better = (distance < nearest) | (chosen == index)
        nearest, index = torch.where(better, distance, nearest), torch.where(better, chosen, index)
        likeness = torch.where(better, ssim(shifted, both[chosen]), likeness)
    return nearest, index, likeness


def _aligned(images: Tensor, targets: Tensor) -> Tensor:
    """Each image moved by up to ``REACH`` px each way to where its pixels differ least from its target's."""
    height, width = images.shape[2:]
    padded = F.pad(images.float(), (REACH,) * 4, mode="replicate").to(torch.uint8)
    best, least = images, torch.full((len(images),), float("inf"))
    for down, right in product(range(2 * REACH + 1), repeat=2):
        moved = padded[:, :, down : down + height, right : right + width]
        error = (moved.float() - targets.float()).abs().mean(dim=(1, 2, 3))
        better = error < least
        best, least = torch.where(better[:, None, None, None], moved, best), torch.minimum(error, least)
    return best


def _is_copy(ratio: float, likeness: float, limit: float, ssim_limit: float) -> bool:
    return ratio < limit and likeness > ssim_limit


def _held_out_share(
    vectors: Tensor, known: Tensor, held_out: Tensor | None, extractor: Extractor, seed: int
) -> float | None:
    if held_out is None or not len(held_out):
        return None
    count = len(known) // 2
    size = min(count, len(held_out))
    generator = torch.Generator().manual_seed(seed)
    ours = torch.randperm(count, generator=generator)[:size]
    theirs = torch.randperm(len(held_out), generator=generator)[:size]
    unknown = perceptual_vectors(extractor.maps, with_mirrored(check_images(held_out)[theirs]))
    to_train = pairwise_perceptual(vectors, known[torch.cat([ours, ours + count])]).amin(1)
    to_held_out = pairwise_perceptual(vectors, unknown).amin(1)
    nearer = (to_train < to_held_out).double() + 0.5 * (to_train == to_held_out).double()
    return float(nearer.mean())
