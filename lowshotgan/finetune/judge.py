"""Scores a snapshot with nothing but the K images and samples of the source model."""

import math

import torch
from torch import Tensor

from lowshotgan.finetune.selector import Judgement, Scores
from lowshotgan.metrics.extractors import Extractor
from lowshotgan.metrics.intra_cluster import mean_pairwise
from lowshotgan.metrics.kernel import kernel_distance
from lowshotgan.metrics.memorization import memorization
from lowshotgan.metrics.perceptual import perceptual_vectors


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
    spread = max(mean_pairwise(perceptual_vectors(extractor.maps, source_samples)), 1e-8)

    def judge(samples: Tensor) -> Scores:
        fidelity = kernel_distance(real, extractor(samples)).value
        diversity = mean_pairwise(perceptual_vectors(extractor.maps, samples)) / spread
        copied = memorization(samples, images, extractor=extractor).rate
        return Scores(float(fidelity), float(diversity), 0.0 if math.isnan(copied) else float(copied))

    return judge
