"""Networks of KG-GAN (Chang et al., arXiv 1905.12261; base: Miyato and Koyama, ICLR 2018).

    latent (B, 128), category (B, k) -> fc (B, 16w, 4, 4) -> up-blocks 8w, 4w, 2w, w -> (B, 3, 64, 64) in [-1, 1]
    image (B, 3, 64, 64), category (B, m) -> down-blocks w, 2w, 4w, 8w, 16w -> sum over positions -> logit (B, 1)
    image -> four strided convolutions -> mean over positions -> embedding (B, d)

A category is a one-hot vector, an embedding vector, or both side by side; every table of class parameters is a linear map
of it, which for a one-hot vector is the table itself.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class ResidualGenerator(nn.Module):
    """Latents and categories to images through residual blocks with conditional batch norm.

    Args:
        resolution: side of the images, 16 or more.
        category_dim: length of a category.
        z_dim: length of a latent.
        width: channels of the last block; doubled with each block towards 4 px, at most 16 times.
        cell: side of the squares of pixels that the last convolution draws as channels.
    """

    def __init__(
        self, resolution: int, category_dim: int, *, z_dim: int = 128, width: int = 64, cell: int = 1
    ) -> None:
        super().__init__()
        self.z_dim, self.cell = z_dim, cell
        levels = int(math.log2(resolution // cell)) - 2
        channels = [width * 2 ** min(levels - i, 4) for i in range(levels + 1)]
        self.project = nn.Linear(z_dim, channels[0] * 16)
        self.blocks = nn.ModuleList(
            UpBlock(before, after, category_dim) for before, after in itertools.pairwise(channels)
        )
        self.norm = nn.BatchNorm2d(channels[-1])
        self.to_rgb = nn.Conv2d(channels[-1], 3 * cell**2, kernel_size=3, padding=1)

    def forward(self, latents: Tensor, category: Tensor) -> Tensor:
        """``(B, z_dim)`` and ``(B, category_dim)`` to ``(B, 3, R, R)`` in [-1, 1]."""
        x = self.project(latents).unflatten(1, (-1, 4, 4))
        for block in self.blocks:
            x = block(x, category)
        images: Tensor = F.pixel_shuffle(self.to_rgb(F.relu(self.norm(x))), self.cell).tanh()
        return images


class UpBlock(nn.Module):
    """Residual block that doubles the resolution: ``(B, in, H, W) -> (B, out, 2H, 2W)``."""

    def __init__(self, before: int, after: int, category_dim: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm(before, category_dim)
        self.conv1 = nn.Conv2d(before, after, kernel_size=3, padding=1)
        self.norm2 = ConditionalBatchNorm(after, category_dim)
        self.conv2 = nn.Conv2d(after, after, kernel_size=3, padding=1)
        self.skip = nn.Conv2d(before, after, kernel_size=1)

    def forward(self, x: Tensor, category: Tensor) -> Tensor:
        y = F.interpolate(F.relu(self.norm1(x, category)), scale_factor=2)
        y = F.relu(self.norm2(self.conv1(y), category))
        doubled: Tensor = self.skip(F.interpolate(x, scale_factor=2)) + self.conv2(y)
        return doubled


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain and offset are linear in the category (de Vries et al., NeurIPS 2017).

    The gain starts at 1 and the offset at 0 for every category.
    """

    def __init__(self, channels: int, category_dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(category_dim, channels)
        self.offset = nn.Linear(category_dim, channels)
        nn.init.zeros_(self.gain.weight)
        nn.init.ones_(self.gain.bias)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor, category: Tensor) -> Tensor:
        gain, offset = self.gain(category), self.offset(category)  # (B, C)
        normalised: Tensor = self.norm(x) * gain[:, :, None, None] + offset[:, :, None, None]
        return normalised


class PlainGenerator(nn.Module):
    """A small generator for a CPU: nearest-neighbour doubling and one convolution a level.

    Args:
        resolution: side of the images.
        category_dim: length of a category.
        z_dim: length of a latent.
        width: channels at 4 px and of the first level; halved at each further level, but not below 8.
        condition_dim: length a category is projected to.
        cell: side of the squares of pixels that the last convolution draws as channels.
    """

    def __init__(
        self,
        resolution: int,
        category_dim: int,
        *,
        z_dim: int = 64,
        width: int = 56,
        condition_dim: int = 32,
        cell: int = 1,
    ) -> None:
        super().__init__()
        self.z_dim, self.cell = z_dim, cell
        levels = int(math.log2(resolution // cell)) - 2
        channels = [width, *(max(width >> i, min(8, width)) for i in range(levels))]
        self.embed = nn.Linear(category_dim, condition_dim)
        self.project = nn.Linear(z_dim + condition_dim, channels[0] * 16)
        pairs = list(itertools.pairwise(channels))
        self.convs = nn.ModuleList(nn.Conv2d(a, b, kernel_size=3, padding=1) for a, b in pairs)
        self.norms = nn.ModuleList(ConditionalBatchNorm(b, condition_dim) for _, b in pairs)
        self.to_rgb = nn.Conv2d(channels[-1], 3 * cell**2, kernel_size=3, padding=1)

    def forward(self, latents: Tensor, category: Tensor) -> Tensor:
        """``(B, z_dim)`` and ``(B, category_dim)`` to ``(B, 3, R, R)`` in [-1, 1]."""
        condition = self.embed(category)
        x = self.project(torch.cat([latents, condition], dim=1)).unflatten(1, (-1, 4, 4))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(F.interpolate(x, scale_factor=2)), condition))
        images: Tensor = F.pixel_shuffle(self.to_rgb(x), self.cell).tanh()
        return images


class ResidualDiscriminator(nn.Module):
    """Projection discriminator: a logit from the image plus the inner product of its features with the category.

    Args:
        resolution: side of the images.
        category_dim: length of a seen category.
        width: channels of the first block; doubled with each block, at most 16 times.
        cell: side of the squares of pixels that go in as channels.
    """

    def __init__(self, resolution: int, category_dim: int, *, width: int = 64, cell: int = 1) -> None:
        super().__init__()
        self.cell = cell
        blocks = int(math.log2(resolution // cell)) - 1
        channels = [3 * cell**2, *(width * 2 ** min(i, 4) for i in range(blocks))]
        pairs = itertools.pairwise(channels)
        self.blocks = nn.Sequential(*(DownBlock(a, b, first=i == 0) for i, (a, b) in enumerate(pairs)))
        self.head = ProjectionHead(channels[-1], category_dim)

    def forward(self, images: Tensor, category: Tensor | None) -> Tensor:
        """``(B, 3, R, R)`` and ``(B, category_dim)`` to logits ``(B, 1)``; ``None`` for any category."""
        logits: Tensor = self.head(F.relu(self.blocks(F.pixel_unshuffle(images, self.cell))), category)
        return logits


class DownBlock(nn.Module):
    """Residual block that halves the resolution; the first one starts without a ReLU."""

    def __init__(self, before: int, after: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.conv1 = spectral_norm(nn.Conv2d(before, after, kernel_size=3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(after, after, kernel_size=3, padding=1))
        self.skip = spectral_norm(nn.Conv2d(before, after, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x if self.first else F.relu(x))
        y = F.avg_pool2d(self.conv2(F.relu(y)), 2)
        skip: Tensor = self.skip(F.avg_pool2d(x, 2))
        return skip + y


class PlainDiscriminator(nn.Module):
    """Strided convolutions down to 4 x 4, one more convolution, and the projection head; arguments as above."""

    def __init__(self, resolution: int, category_dim: int, *, width: int = 32, cell: int = 1) -> None:
        super().__init__()
        self.cell = cell
        levels = int(math.log2(resolution // cell)) - 2
        channels = [3 * cell**2, *(width * 2 ** min(i, 3) for i in range(levels))]
        pairs = itertools.pairwise(channels)
        self.down = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, kernel_size=4, stride=2, padding=1)) for a, b in pairs)
        self.last = spectral_norm(nn.Conv2d(channels[-1], channels[-1], kernel_size=3, padding=1))
        self.head = ProjectionHead(channels[-1], category_dim)

    def forward(self, images: Tensor, category: Tensor | None) -> Tensor:
        """``(B, 3, R, R)`` and ``(B, category_dim)`` to logits ``(B, 1)``; ``None`` for any category."""
        x = F.pixel_unshuffle(images, self.cell)
        for conv in self.down:
            x = F.leaky_relu(conv(x), 0.2)
        logits: Tensor = self.head(F.leaky_relu(self.last(x), 0.2), category)
        return logits


class ProjectionHead(nn.Module):
    """Features ``(B, C, h, w)`` summed over positions, and a category or none, to logits ``(B, 1)``."""

    def __init__(self, channels: int, category_dim: int) -> None:
        super().__init__()
        self.linear = spectral_norm(nn.Linear(channels, 1))
        self.category = spectral_norm(nn.Linear(category_dim, channels, bias=False))

    def forward(self, features: Tensor, category: Tensor | None) -> Tensor:
        summed = features.sum(dim=(2, 3))  # (B, C)
        logits: Tensor = self.linear(summed)
        if category is not None:
            logits = logits + (summed * self.category(category)).sum(dim=1, keepdim=True)
        return logits


class EmbeddingNet(nn.Module):
    """E: an image to its embedding. The mean over positions keeps it from learning which attributes occur together.

    Args:
        embedding_dim: length of the embedding.
        width: channels of the first of four layers; the others have 2, 4 and 4 times as many.
        cell: side of the squares of pixels that go in as channels.
    """

    def __init__(self, embedding_dim: int, *, width: int = 32, cell: int = 1) -> None:
        super().__init__()
        self.cell = cell
        channels = [3 * cell**2, width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(itertools.pairwise(channels)):
            layers += [
                nn.Conv2d(before, after, kernel_size=3, stride=1 if index == 0 else 2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels[-1], embedding_dim)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to ``(B, d)``."""
        embedding: Tensor = self.head(self.layers(F.pixel_unshuffle(images, self.cell)).mean(dim=(2, 3)))
        return embedding


class EmbeddingNets(nn.Module):
    """E: one network, or several that are trained side by side and whose readings are averaged.

    A generator fools several less easily than one.
    """

    def __init__(self, count: int, embedding_dim: int, *, width: int = 32, cell: int = 1) -> None:
        super().__init__()
        self.nets = nn.ModuleList(EmbeddingNet(embedding_dim, width=width, cell=cell) for _ in range(count))

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to the mean reading ``(B, d)``."""
        return torch.stack(self.readings(images)).mean(dim=0)

    def readings(self, images: Tensor) -> list[Tensor]:
        """``(B, d)`` of each network."""
        return [net(images) for net in self.nets]
