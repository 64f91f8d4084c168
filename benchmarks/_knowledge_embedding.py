"""Embedding cells of ``knowledge.py``: how well E reads combinations of attributes that it never saw, by its protection."""

import argparse
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _knowledge_worlds import World
from torch import Tensor, nn

from lowshotgan.api import create_model
from lowshotgan.data.categories import CategorySet
from lowshotgan.data.images import from_uint8
from lowshotgan.losses.knowledge_guided import nearest
from lowshotgan.systems.kggan.config import KGGANTraining
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine

EMBEDDING_ARMS: dict[str, dict[str, Any]] = {
    "nuisance": {},
    "pooled": {"nuisance": ()},
    "naive": {"nuisance": (), "flat": True},
}
STEPS = 3000
BATCH = 64


class FlatNet(nn.Module):
    """The naive E: strided convolutions whose output is flattened into a linear layer, so that it may learn combinations."""

    def __init__(self, dim: int, side: int, width: int = 32) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, width, 4, 2, 1), nn.Conv2d(width, 2 * width, 4, 2, 1)])
        self.head = nn.Linear(2 * width * (side // 4) ** 2, dim)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to ``(B, dim)``."""
        for conv in self.convs:
            images = F.leaky_relu(conv(images), 0.2)
        embedding: Tensor = self.head(images.flatten(1))
        return embedding


def embedding_cell(
    world: World, options: argparse.Namespace, arm: dict[str, Any] | None, model: str | None, *, seed: int, run: Path
) -> tuple[dict[str, Any], None]:
    """Train E alone on the seen categories, and let it read other images of all."""
    began = time.perf_counter()
    arm, side = arm or {}, options.resolution or 32
    torch.manual_seed(seed)
    seen = [name for name in world.names if name not in world.unseen]
    built = {**world.model, "resolution": side, **({"nuisance": arm["nuisance"]} if "nuisance" in arm else {})}
    system = create_model(built.pop("arch"), knowledge=world.knowledge, seen=seen, **built)
    if arm.get("flat"):
        system.generator.embedding.nets = nn.ModuleList([FlatNet(system.config.embedding_dim, side)])
    images = world.images(world.names, side)
    known, other = split(images, seen)
    training = KGGANTraining(batch_size=BATCH, embedding_steps=options.steps or STEPS, folds=0, **options.settings)
    stage = next(system.stages(known, training, seed=seed))
    settings = LoopSettings(seed=seed, precision="fp32", resume="never")
    fit([stage], output_dir=run, machine=Machine("cpu"), settings=settings)
    net = system.generator.embedding.eval()
    place = [system.categories.index(name) for name in other.categories]
    with torch.no_grad():
        found = torch.cat([net(from_uint8(part)) for part in other.images.uint8().split(128)])
    right = nearest(found, system.generator.table.vectors) == torch.tensor(place)[other.labels]
    is_seen = torch.tensor([name in seen for name in other.categories])[other.labels]
    scores = {"seen": round(float(right[is_seen].float().mean()), 4)}
    scores["unseen"] = round(float(right[~is_seen].float().mean()), 4)
    return {"seconds": round(time.perf_counter() - began), "resolution": side, **scores}, None


def split(images: CategorySet, seen: list[str]) -> tuple[CategorySet, CategorySet]:
    """The first half of the images of each seen category to train on, and the second half of every category."""
    from lowshotgan.data.base import Subset
    from lowshotgan.data.dataset import ImageSet

    rows: dict[str, list[int]] = {"known": [], "other": []}
    for label, name in enumerate(images.categories):
        members = (images.labels == label).nonzero()[:, 0].tolist()
        rows["known"] += members[: len(members) // 2] if name in seen else []
        rows["other"] += members[len(members) // 2 :]
    parts = {
        name: ImageSet(Subset(images.images.source, chosen), images.images.preprocess) for name, chosen in rows.items()
    }
    rank = torch.tensor([seen.index(name) if name in seen else -1 for name in images.categories])
    return (
        CategorySet(parts["known"], rank[images.labels[rows["known"]]], seen),
        CategorySet(parts["other"], images.labels[rows["other"]], images.categories),
    )
