"""Scores a snapshot with nothing but the K images and samples of the source model."""

import math

import torch
from torch import Tensor

from lowshotgan.finetune.selector import MIN_DIVERSITY, Judgement, Limits, Scores
from lowshotgan.metrics.extractors import Extractor
from lowshotgan.metrics.intra_cluster import mean_pairwise
from lowshotgan.metrics.kernel import kernel_distance
from lowshotgan.metrics.memorization import memorization
from lowshotgan.metrics.perceptual import perceptual_vectors

ENOUGH = 5
"""From so many images on, their own variety says something about the target's."""
LEAST = 0.5
"""The demand for variety falls to no less than this share, however alike the images are."""


def limits_for(images: Tensor, source_samples: Tensor, extractor: Extractor) -> Limits:
    """What a snapshot must keep: ``MIN_DIVERSITY`` of the source's variety, or of the images' own where that is less.

    Samples of a target whose images resemble each other (line drawings, one garment) cannot be as varied as the
    source; holding them to the source's variety would choose a snapshot that has hardly left it.

    Args:
        images: ``(K, 3, R, R)`` uint8, the images the model is fine-tuned to.
        source_samples: ``(N, 3, R, R)`` uint8 of the source model.
        extractor: judges perceptual distances.
    """
    if len(images) < ENOUGH:
        return Limits()
    share = _variety(images, extractor) / max(_variety(source_samples, extractor), 1e-8)
    return Limits(min_diversity=MIN_DIVERSITY * min(max(share, LEAST), 1.0))


def make_judge(images: Tensor, source_samples: Tensor, extractor: Extractor, *, flip: bool = True) -> Judgement:
    """A function from samples to ``Scores``.

    Args:
        images: ``(K, 3, R, R)`` uint8, the images the model is fine-tuned to.
        source_samples: ``(N, 3, R, R)`` uint8 of the source model, for the latents the samples will have.
        extractor: judges perceptual distances.
        flip: whether mirrored images count as the target's too; then they are the second copy of each image, else
            it is shifted by one pixel.
    """
    second = images.flip(3) if flip else images.roll(1, dims=3)
    real = extractor(torch.cat([images, second]))
    spread = max(_variety(source_samples, extractor), 1e-8)

    def judge(samples: Tensor) -> Scores:
        fidelity = kernel_distance(real, extractor(samples)).value
        diversity = _variety(samples, extractor) / spread
        copied = memorization(samples, images, extractor=extractor).rate
        return Scores(float(fidelity), float(diversity), 0.0 if math.isnan(copied) else float(copied))

    return judge


def _variety(images: Tensor, extractor: Extractor) -> float:
    """Mean perceptual distance between images ``(N, 3, R, R)``."""
    return float(mean_pairwise(perceptual_vectors(extractor.maps, images)))
