"""A tiny KG-GAN on coloured shapes: three seen combinations of two shapes and two colours, the fourth unseen."""

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
