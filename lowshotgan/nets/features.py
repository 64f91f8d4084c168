"""The library's own frozen feature network, for perceptual losses and for metrics that need no download.

    image (B, 3, 64, 64) in [-1, 1] -> 4 x Stage -> maps at 32, 16, 8, 4 px -> mean of the last (B, 256)

A small residual classifier. It keeps a map of every scale, because a perceptual distance compares images at
several scales (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR
2018), and the mean of the last map is the embedding that the distances between sets use. Trained by
``recipes/train_features.py``; weights are used frozen, in evaluation mode, in float32.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from lowshotgan.errors import ConfigError


class FeatureNet(nn.Module):
    """Multi-scale feature network.

    Args:
        widths: channels of the four maps, from 1/2 of the resolution to 1/16.
        depths: residual units of the four stages, each at least 1.

    Raises:
        ConfigError: if there are not four widths and four depths, or one is below 1.
    """

    def __init__(self, *, widths: Sequence[int] = (32, 64, 128, 256), depths: Sequence[int] = (1, 1, 1, 2)) -> None:
        super().__init__()
        if len(widths) != 4 or len(depths) != 4 or min(*widths, *depths) < 1:
            raise ConfigError(
                f"FeatureNet takes four widths and four depths, each at least 1; got {tuple(widths)} and "
                f"{tuple(depths)}. Leave them out for the shipped sizes."
            )
        self.widths = tuple(widths)
        before = (3, *widths[:-1])
        self.stages = nn.ModuleList(
            Stage(*sizes[:2], depth=sizes[2]) for sizes in zip(before, widths, depths, strict=True)
        )

    @property
    def dim(self) -> int:
        """Number of values in an embedding."""
        return self.widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings ``(B, dim)`` of images ``(B, 3, H, W)`` in [-1, 1]; trained for H = W = 64."""
        return self.maps(images)[-1].mean(dim=(2, 3))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Four maps ``(B, widths[i], H / 2**(i + 1), W / 2**(i + 1))`` of images ``(B, 3, H, W)`` in [-1, 1].

        Raises:
            ConfigError: if the images are not ``(B, 3, H, W)`` with H and W multiples of 16.
        """
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % 16 or images.shape[3] % 16:
            raise ConfigError(
                f"FeatureNet takes (B, 3, H, W) with H and W multiples of 16, got {tuple(images.shape)}; "
                "resize the images to 64 x 64 first."
            )
        x, found = images, []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class Stage(nn.Module):
    """Halve the resolution, then refine: ``(B, before, H, W) -> (B, after, H / 2, W / 2)``."""

    def __init__(self, before: int, after: int, *, depth: int) -> None:
        super().__init__()
        self.down = ConvUnit(before, after, kernel=4, stride=2)
        self.refine = nn.ModuleList(ConvUnit(after, after) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        for unit in self.refine:
            x = x + unit(x)
        return x


class ConvUnit(nn.Module):
    """Convolution, batch normalisation, leaky ReLU (slope 0.1: a perceptual loss has a gradient
    everywhere).
    """

    def __init__(self, before: int, after: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel_size=kernel, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)
        self.act = nn.LeakyReLU(0.1, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.act(self.norm(self.conv(x)))
        return activated
