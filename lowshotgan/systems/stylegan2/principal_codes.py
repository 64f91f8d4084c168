"""Codes of images that need no training: their principal components."""

import torch
from torch import Tensor, nn

from lowshotgan.data.dataset import ImageSet
from lowshotgan.data.images import from_uint8

FITTED = 5000
"""At most this many images are used to find the components."""


class PrincipalCodes(nn.Module):
    """Images ``(B, 3, R, R)`` in [-1, 1] to codes ``(B, dim)`` with mean 0 and mean square 1.

    A component is divided by the root of its standard deviation, half-way between leaving its size (fine features would
    be lost) and making all alike (noise would count as much as the shape of the head).

    Args:
        images: the components are those of the first ``FITTED``.
        dim: number of components, at most.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, images: ImageSet, *, dim: int = 96) -> None:
        super().__init__()
        pixels = from_uint8(images.uint8(torch.arange(min(len(images), FITTED)))).flatten(1)
        self.dim = max(1, min(dim, *pixels.shape))
        mean = pixels.mean(dim=0)
        _, _, basis = torch.pca_lowrank(pixels, q=self.dim, niter=3)
        scores = (pixels - mean) @ basis
        basis = basis / scores.std(dim=0).clamp(min=1e-6).sqrt()
        scores = (pixels - mean) @ basis
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis / scores.square().mean().sqrt().clamp(min=1e-6))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        codes: Tensor = (images.flatten(1) - self.mean) @ self.basis
        return codes
