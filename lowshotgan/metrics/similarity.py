"""Comparisons of pixels without a network: structural similarity and Sobel edges."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.errors import ConfigError

LUMA = (0.299, 0.587, 0.114)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of luminance (Wang et al., IEEE TIP 2004): Gaussian window of 11 px, sigma 1.5.

    Args:
        a: ``(N, 3, H, W)`` uint8, H and W at least 11.
        b: the same shape.

    Returns:
        ``(N,)`` means over the image, in [-1, 1]; 1 for equal images.

    Raises:
        ConfigError: if the shapes differ or the images are smaller than the window.
    """
    if a.shape != b.shape or min(a.shape[-2:]) < 11:
        raise ConfigError(f"ssim takes two equal shapes of at least 11 px, got {tuple(a.shape)} and {tuple(b.shape)}.")
    x, y = luminance(a), luminance(b)
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    cov = _window(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    denominator = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return (numerator / denominator).mean(dim=(1, 2, 3))


def edges(images: Tensor) -> Tensor:
    """Sobel magnitude ``(N, 1, H, W)`` of uint8 ``(N, 3, H, W)``, divided by its maximum in each image."""
    kernel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    both = torch.stack([kernel, kernel.T])[:, None].to(images.device)  # (2, 1, 3, 3)
    gradient = F.conv2d(F.pad(luminance(images), (1, 1, 1, 1), mode="replicate"), both)
    magnitude = gradient.square().sum(1, keepdim=True).sqrt()
    return magnitude / magnitude.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)


def luminance(images: Tensor) -> Tensor:
    """``(N, 1, H, W)`` in [0, 1] of uint8 images ``(N, 3, H, W)``."""
    weights = torch.tensor(LUMA, device=images.device)[:, None, None]
    return (images.float() / 255 * weights).sum(1, keepdim=True)


def _window(x: Tensor) -> Tensor:
    taps = torch.exp(-(torch.arange(-5.0, 6.0, device=x.device) ** 2) / (2 * 1.5**2))
    taps = taps / taps.sum()
    return F.conv2d(F.conv2d(x, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))
