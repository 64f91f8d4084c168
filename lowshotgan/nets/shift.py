"""Small random shifts with repeated borders, so that a judge does not lean on absolute positions."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.draws import Draws


def random_shift(images: Tensor, draws: Draws, *, pixels: int) -> Tensor:
    """Move each of ``(B, C, H, W)`` by up to ``pixels`` in both directions; what comes in repeats the border."""
    if pixels < 1:
        return images
    offsets = draws.integers(2 * pixels + 1, len(images), 2)
    return shift(images, offsets, pixels=pixels)


def shift(images: Tensor, offsets: Tensor, *, pixels: int) -> Tensor:
    """Cut ``(B, C, H, W)`` windows at ``offsets (B, 2)``, 0 to 2 ``pixels`` each, out of images padded by ``pixels``."""
    count, _, height, width = images.shape
    padded = F.pad(images, (pixels,) * 4, mode="replicate")
    batch = torch.arange(count, device=images.device)[:, None, None]
    rows = (torch.arange(height, device=images.device) + offsets[:, :1])[:, :, None]
    columns = (torch.arange(width, device=images.device) + offsets[:, 1:])[:, None, :]
    return padded.permute(0, 2, 3, 1)[batch, rows, columns].permute(0, 3, 1, 2)
