"""Shots in other colours: PFS-GAN moves them along both colour axes of Lab (Teng et al. 2021, released code)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lowshotgan.data.colours import from_lab, to_lab
from lowshotgan.nets.residual import as_rgb

LEVELS = 201
"""Steps from -1 to 1 of which one is drawn per axis and image."""


@dataclass(frozen=True)
class ColourShift:
    """A random move within the colours that occur in the shots; grey shots stay as they are.

    Attributes:
        low: ``(2,)`` least a* and b* of the shots.
        high: ``(2,)`` greatest.
        strength: 1 moves by up to half the range, 0 not at all.
    """

    low: Tensor
    high: Tensor
    strength: float = 1.0

    @classmethod
    def of(cls, shots: Tensor, *, strength: float = 1.0) -> "ColourShift":
        """The shift whose ranges are those of ``shots (K, 3 or 1, R, R)`` in [-1, 1]."""
        colours = _lab(as_rgb(shots))[..., 1:].flatten(0, -2)
        return cls(colours.amin(dim=0), colours.amax(dim=0), strength)

    def __call__(self, images: Tensor, levels: Tensor) -> Tensor:
        """Images ``(B, 3, R, R)`` in [-1, 1] moved by ``levels (B, 2)``, whole numbers from 0 to 200; 100 is none.

        Images with one channel have no colours to move.
        """
        if self.strength == 0 or images.shape[1] == 1:
            return images
        low, high = self.low.to(images), self.high.to(images)
        lab = _lab(images)
        move = (levels.to(images) / (LEVELS // 2) - 1) * 0.5 * (high - low) * self.strength  # (B, 2)
        axes = torch.minimum(torch.maximum(lab[..., 1:] + move[:, None, None], low), high)
        shifted = from_lab(torch.cat([lab[..., :1], axes], dim=-1))
        return shifted.permute(0, 3, 1, 2) * 2 - 1


def _lab(images: Tensor) -> Tensor:
    return to_lab((images.permute(0, 2, 3, 1).float() + 1) / 2)
