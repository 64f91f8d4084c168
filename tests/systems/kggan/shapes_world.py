"""A tiny KG-GAN on coloured shapes: three seen combinations of two shapes and two colours, the fourth unseen.

Beside it discs on grounds, whose colours an exact judge reads.
"""

import torch

from lowshotgan.api import create_model
from lowshotgan.data.knowledge import Knowledge
from lowshotgan.data.shapes import coloured_shapes

SEEN = ["red circle", "red cross", "blue circle"]
UNSEEN = ["blue cross"]


def attributes(name):
    colour, shape = name.split()
    return {"colour": colour, "shape": shape}


def shapes_knowledge(**options):
    return Knowledge.from_attributes({name: attributes(name) for name in SEEN + UNSEEN}, **options)


def pictures(name, n, *, resolution=16, seed=0):
    return coloured_shapes(attributes(name)["shape"], attributes(name)["colour"], n, resolution=resolution, seed=seed)


def tiny(arch="kggan_32", **options):
    torch.manual_seed(0)
    sizes = {"resolution": 16, "z_dim": 8, "width": 8, "discriminator_width": 8, "embedding_width": 4}
    return create_model(arch, **{"knowledge": shapes_knowledge(), "seen": SEEN, **sizes, **options})


GROUNDS = {"black": (-0.8, -0.8, -0.8), "grey": (0.0, 0.0, 0.0), "white": (0.8, 0.8, 0.8)}
DISCS = {"red": (0.8, -0.8, -0.8), "green": (-0.8, 0.8, -0.8), "blue": (-0.8, -0.8, 0.8)}
PAIRS = [f"{ground} {disc}" for ground in GROUNDS for disc in DISCS]
UNSEEN_PAIRS = ["black red", "grey green", "white blue"]


def discs(name, n):
    """A disc in one colour on a ground in another, ``(n, 3, 16, 16)`` uint8; both can be read off without a classifier."""
    ground, disc = (torch.tensor(table[word]) for table, word in zip((GROUNDS, DISCS), name.split(), strict=True))
    random, place = torch.Generator().manual_seed(PAIRS.index(name)), torch.arange(16) - 7.5
    radius = 4 + 2 * torch.rand(n, 1, 1, generator=random)
    centre = 2 * torch.rand(n, 2, 1, 1, generator=random) - 1
    inside = ((place[:, None] - centre[:, 0]) ** 2 + (place[None] - centre[:, 1]) ** 2 < radius**2)[:, None]
    images = torch.where(inside, disc[:, None, None], ground[:, None, None])
    images = images + 0.1 * torch.randn(n, 3, 16, 16, generator=random)
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def share_right(images, name):
    """Share of ``(N, 3, 16, 16)`` images in [-1, 1] whose corners and middle have the colours of the name."""
    corners, middle = images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].mean(2), images[:, :, 7:9, 7:9].mean((2, 3))
    right = torch.ones(len(images), dtype=torch.bool)
    for found, table, word in zip((corners, middle), (GROUNDS, DISCS), name.split(), strict=True):
        right &= torch.cdist(found, torch.tensor(list(table.values()))).argmin(1) == list(table).index(word)
    return float(right.float().mean())
