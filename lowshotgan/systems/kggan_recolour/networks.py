"""Networks of KG-GAN for recolouring (Chang et al., arXiv 1905.12261 v1; claims 8 to 16 of US 11379722).

    F1(x, y) = conv1x1(x; T1(x, y))        F2(x, c) = conv1x1(x; T2(x, c))        M(x) in (0, 1), shared
    G1(x, y) = M F1 + (1 - M) x            G2(x, c) = M F2 + (1 - M) x
    D(x) -> patch logits, category logits

The generated 1 x 1 filters have no extent in space, so all shapes come from x and all localisation from M.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lowshotgan.losses.knowledge_guided import region_colour

SLOPE = 0.2
REFINING = 12
"""Channels between the two convolutions at full size."""
START = -1.5
"""Logit of the mask before training: it has to grow where it is needed, rather than to withdraw elsewhere."""


class RecolourGenerator(nn.Module):
    """G1 and G2: two transforms and one mask.

    Args:
        resolution: side of the images; it decides how deep the mask network is.
        categories: number of seen colours.
        transform_width: of T1 and T2.
        hidden: of the generated filters.
        mask_width: of M.
        cell: side in pixels of the cells in which the networks read the image.
    """

    def __init__(
        self,
        resolution: int,
        categories: int,
        *,
        transform_width: int = 20,
        hidden: int = 0,
        mask_width: int = 16,
        cell: int = 1,
    ) -> None:
        super().__init__()
        self.categories = categories
        self.seen = Transform(categories, width=transform_width, hidden=hidden, cell=cell)
        self.unseen = Transform(3, width=transform_width, hidden=hidden, cell=cell)
        self.mask = MaskNet(int(math.log2(resolution // cell)) - 2, width=mask_width, cell=cell)

    def to_category(self, images: Tensor, labels: Tensor, *, mask: Tensor | None = None) -> "Recoloured":
        """G1: ``(B, 3, H, W)`` in [-1, 1] in the seen colours ``labels (B,)``; ``mask`` is M(images) if it is known."""
        told = F.one_hot(labels, self.categories).to(images.dtype)
        return combine(images, self.seen(images, told), self.mask(images) if mask is None else mask)

    def to_colour(self, images: Tensor, colours: Tensor, *, mask: Tensor | None = None) -> "Recoloured":
        """G2: ``(B, 3, H, W)`` in any colours ``(B, 3)`` in [-1, 1]; ``mask`` is M(images) if it is known."""
        return combine(images, self.unseen(images, colours), self.mask(images) if mask is None else mask)


class Recoloured:
    """What a generator made.

    Attributes:
        images: ``(B, 3, H, W)``, the region recoloured; not clamped.
        foreground: ``(B, 3, H, W)``, the whole image recoloured.
        mask: ``(B, 1, H, W)`` in [0, 1], the probability of the region.
    """

    def __init__(self, images: Tensor, foreground: Tensor, mask: Tensor) -> None:
        self.images, self.foreground, self.mask = images, foreground, mask


def combine(images: Tensor, foreground: Tensor, mask: Tensor) -> Recoloured:
    """The combiner: foreground inside the mask, the image itself outside."""
    return Recoloured(mask * foreground + (1 - mask) * images, foreground, mask)


class Transform(nn.Module):
    """T and the convolution it feeds: three strided convolutions, mean over positions, two layers, then filters.

    It starts at the identity. With ``hidden`` channels it generates two layers with a leaky ReLU between them. The filters
    are read off the means of cells, and applied to every pixel.
    """

    def __init__(self, told: int, *, width: int = 20, hidden: int = 0, cell: int = 1) -> None:
        super().__init__()
        self.hidden, self.cell = hidden, cell
        channels = [3 + told, width, 2 * width, 2 * width]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, kernel_size=4, stride=2, padding=1) for a, b in itertools.pairwise(channels)
        )
        self.middle = nn.Linear(channels[-1], 64)
        start = _identity(hidden)
        self.filters = nn.Linear(64, len(start))
        nn.init.normal_(self.filters.weight, std=0.02)
        with torch.no_grad():
            self.filters.bias.copy_(start)

    def forward(self, images: Tensor, told: Tensor) -> Tensor:
        """``(B, 3, H, W)`` and what is told ``(B, k)`` to the recoloured whole image, not clamped."""
        return self.apply_filters(images, self.predict(images, told))

    def predict(self, images: Tensor, told: Tensor) -> Tensor:
        """``(B, P)`` weights and offsets of the generated layers."""
        small = F.avg_pool2d(images, self.cell) if self.cell > 1 else images
        plane = told[:, :, None, None].expand(-1, -1, *small.shape[2:]).to(images.dtype)
        x = torch.cat([small, plane], dim=1)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
        filters: Tensor = self.filters(F.leaky_relu(self.middle(x.mean(dim=(2, 3))), SLOPE))
        return filters

    def apply_filters(self, images: Tensor, filters: Tensor) -> Tensor:
        """The generated 1 x 1 layers, each image by its own."""
        if not self.hidden:
            weight, offset = filters.split([9, 3], dim=1)
            return _layer(images, weight.unflatten(1, (3, 3)), offset)
        k = self.hidden
        first, bias, second, offset = filters.split([3 * k, k, 3 * k, 3], dim=1)
        inner = F.leaky_relu(_layer(images, first.unflatten(1, (k, 3)), bias), SLOPE)
        return _layer(inner, second.unflatten(1, (3, k)), offset)


def _layer(images: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
    """``(B, in, H, W)``, ``(B, out, in)`` and ``(B, out)`` to ``(B, out, H, W)``."""
    mixed = torch.bmm(weight, images.flatten(2)) + offset[:, :, None]
    return mixed.view(*mixed.shape[:2], *images.shape[2:])


def _identity(hidden: int) -> Tensor:
    """Filters that change nothing; x is the difference of two leaky ReLUs of x and -x."""
    eye = torch.eye(3)
    if not hidden:
        return torch.cat([eye.flatten(), torch.zeros(3)])
    first, second = torch.zeros(hidden, 3), torch.zeros(3, hidden)
    first[:3], first[3:6] = eye, -eye
    second[:, :3], second[:, 3:6] = eye / (1 + SLOPE), -eye / (1 + SLOPE)
    return torch.cat([first.flatten(), torch.zeros(hidden), second.flatten(), torch.zeros(3)])


class MaskNet(nn.Module):
    """M: a U-Net with instance norm that says for each pixel how surely it belongs to the region.

    Args:
        levels: downsamplings; 4 at 64 px, so that the deepest layer sees the whole object.
        width: channels at full resolution; twice as many one level down, four times as many below.
        cell: side of the cells of pixels that go in as channels, and come out as so many values of the mask; above 1,
            two small convolutions at full size then compare each pixel with the colour of the region found so far.
    """

    def __init__(self, levels: int, *, width: int = 16, cell: int = 1) -> None:
        super().__init__()
        self.cell = cell
        channels = [width * min(2**level, 4) for level in range(levels + 1)]
        self.stem = _block(3 * cell**2, width)
        self.down = nn.ModuleList(_block(a, b, stride=2) for a, b in itertools.pairwise(channels))
        self.up = nn.ModuleList(_block(b + a, a) for a, b in reversed(list(itertools.pairwise(channels))))
        self.to_mask = nn.Conv2d(width, cell**2, kernel_size=1)
        with torch.no_grad():  # all pixels of a cell start alike, so that the mask starts without a pattern
            self.to_mask.weight.copy_(self.to_mask.weight[:1].expand_as(self.to_mask.weight))
            self.to_mask.bias = nn.Parameter(torch.full((cell**2,), START))
        self.refine = _refinement() if cell > 1 else None

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to ``(B, 1, H, W)`` in (0, 1)."""
        features = [self.stem(F.pixel_unshuffle(images, self.cell))]
        for block in self.down:
            features.append(block(features[-1]))
        x = features.pop()
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2), features.pop()], dim=1))
        logits = F.pixel_shuffle(self.to_mask(x), self.cell)
        if self.refine is not None:
            away = images - region_colour(images, logits.sigmoid())[:, :, None, None]
            logits = logits + self.refine(torch.cat([logits, images, away.abs()], dim=1))
        return logits.sigmoid()


def _refinement() -> nn.Sequential:
    """From the logits, the image and its distance from the region's colour to a correction; nothing before training."""
    last = nn.Conv2d(REFINING, 1, kernel_size=3, padding=1, bias=False)
    nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Conv2d(7, REFINING, kernel_size=3, padding=1), nn.LeakyReLU(SLOPE), last)


def _block(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    kernel = 3 if stride == 1 else 4
    conv = nn.Conv2d(before, after, kernel_size=kernel, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.InstanceNorm2d(after, affine=True), nn.LeakyReLU(SLOPE))


class RecolourDiscriminator(nn.Module):
    """D: patch logits, and the category of the region.

    The trunk is spectrally normalised. The heads are not: with all layers normalised the logits of a network this narrow
    hardly leave zero.

    Args:
        categories: number of seen colours.
        width: channels of the first layer; then twice and four times as many.
        cell: side of the cells of pixels that go in as channels.
    """

    def __init__(self, categories: int, *, width: int = 24, cell: int = 1) -> None:
        super().__init__()
        self.cell = cell
        channels = [3 * cell**2, width, 2 * width, 4 * width]
        self.convs = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, kernel_size=4, stride=2, padding=1)) for a, b in itertools.pairwise(channels)
        )
        deepest = channels[-1]
        self.patch = nn.Conv2d(deepest, 1, kernel_size=3, padding=1)
        self.deeper = nn.Conv2d(deepest, deepest, kernel_size=4, stride=2, padding=1)
        self.category = nn.Linear(deepest, categories)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, 3, H, W)`` to logits ``(B, 1, h, w)`` on a grid of H/8, by cells, and categories ``(B, categories)``."""
        x = F.pixel_unshuffle(images, self.cell)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
        deep = F.leaky_relu(self.deeper(x), SLOPE)
        return self.patch(x), self.category(deep.mean(dim=(2, 3)))
