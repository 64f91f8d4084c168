"""Zero-shot cells of ``knowledge.py``: the judge, training of an arm, and its scores."""

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _knowledge_worlds import World
from PIL import Image
from torch import Tensor, nn

from lowshotgan.api import create_model, load, train
from lowshotgan.data.categories import CategoryBatches
from lowshotgan.data.images import from_uint8, image_grid, to_uint8
from lowshotgan.metrics.extractors import Extractor, load_extractor
from lowshotgan.metrics.kernel import kernel_distance

SIDE = 32
"""The judge sees images of this size, whatever the size of the model."""
JUDGE_STEPS = 700
KERNEL_IMAGES = 400
BORDER = 3
"""Pixels at the border whose chroma is measured."""
SHEET_SEEDS = 8

_ONE_HOT = {"seen_indication": "one_hot", "unseen_indication": "one_hot"}
_NO_LOSS = {"knowledge_weight": 0.0}
ZERO_SHOT_ARMS: dict[str, dict[str, Any]] = {
    "full": {},
    "no_semantic": _NO_LOSS,
    "one_hot": {**_NO_LOSS, **_ONE_HOT},
    "one_hot_semantic": _ONE_HOT,
    "full_hard": {"split": "hard"},
    "no_semantic_hard": {**_NO_LOSS, "split": "hard"},
    "open_world": {"split": "open"},
}


class Judge(nn.Module):
    """Reads both attributes off images; trained on real images of all categories, tested on other ones.

    Args:
        values: names of the values of the first and of the second attribute.
    """

    def __init__(self, values: list[list[str]]) -> None:
        super().__init__()
        self.values = values
        channels = [3, 24, 48, 96]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(96 * 16, 128), nn.ReLU(), nn.Dropout(0.3))
        self.heads = nn.ModuleList(nn.Linear(128, len(names)) for names in values)
        self.accuracy: dict[str, float] = {}

    def forward(self, images: Tensor) -> list[Tensor]:
        """``(B, 3, R, R)`` in [-1, 1] to logits of both attributes."""
        features = self.body(F.adaptive_avg_pool2d(images, SIDE))
        return [head(features) for head in self.heads]

    @torch.no_grad()
    def right(self, images: Tensor, wanted: list[list[str]]) -> Tensor:
        """``(N, 2)`` whether each attribute is read as wanted."""
        found = [torch.cat(parts) for parts in zip(*(self.eval()(x) for x in images.split(128)), strict=True)]
        target = [torch.tensor([v.index(one[i]) for one in wanted]) for i, v in enumerate(self.values)]
        return torch.stack([f.argmax(dim=1) == t for f, t in zip(found, target, strict=True)], dim=1)

    @classmethod
    def trained(cls, world: World, path: Path, *, steps: int = JUDGE_STEPS) -> "Judge":
        """The judge kept at ``path``, or a new one trained on every other image of each category of ``world``."""
        names = sorted(world.names)
        values = [sorted({name.split()[i] for name in names}) for i in (0, 1)]
        judge = cls(values)
        if path.is_file():
            kept = torch.load(path, weights_only=True)
            judge.load_state_dict(kept["state"])
            judge.accuracy = kept["accuracy"]
            return judge
        images = world.images(names, SIDE)
        even = torch.arange(len(images)) % 2 == 0
        pixels = from_uint8(images.images.uint8(torch.arange(len(images))))
        wanted = [images.categories[int(label)].split() for label in images.labels]
        target = torch.tensor([[v.index(one[i]) for i, v in enumerate(values)] for one in wanted])
        _fit_judge(judge, pixels[even], target[even], steps)
        odd = (~even).nonzero()[:, 0]
        right = judge.right(pixels[odd], [wanted[int(row)] for row in odd])
        judge.accuracy = shares(right, world.attributes)
        torch.save({"state": judge.state_dict(), "accuracy": judge.accuracy}, path)
        return judge


def _fit_judge(judge: Judge, pixels: Tensor, target: Tensor, steps: int) -> None:
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    draws = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(len(pixels), (64,), generator=draws)
        noisy = pixels[chosen] + 0.05 * torch.randn(pixels[chosen].shape, generator=draws)
        logits = judge.train()(noisy)
        loss = sum(F.cross_entropy(one, target[chosen, i]) for i, one in enumerate(logits))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def shares(right: Tensor, attributes: tuple[str, str] = ("hair", "skin")) -> dict[str, float]:
    """Share of images with both attributes right, and each, from ``(N, 2)``."""
    both = right.all(dim=1).float().mean()
    first, second = right.float().mean(dim=0).tolist()
    return {"joint": round(float(both), 4), attributes[0]: round(first, 4), attributes[1]: round(second, 4)}


def zero_shot_cell(
    shared: tuple[World, Judge],
    options: argparse.Namespace,
    arm: dict[str, Any] | None,
    model: str | None,
    *,
    seed: int,
    run: Path,
) -> tuple[dict[str, Any], Image.Image]:
    """Train one arm (or load a model) and score it; the sheet shows unseen categories."""
    world, judge = shared
    began = time.perf_counter()
    found = load(model) if model else train_arm(world, options, arm or {}, seed=seed, run=run)
    seconds = time.perf_counter() - began
    about = {
        "seconds": round(seconds),
        "resolution": found.config.resolution,
        "judge": judge.accuracy,
        "chance": round(1 / (len(judge.values[0]) * len(judge.values[1])), 4),
        "attributes": list(world.attributes),
    }
    scores = score(found, world, judge, options.samples, load_extractor(options.extractor))
    return {**about, **scores}, sheet(found)


def train_arm(world: World, options: argparse.Namespace, arm: dict[str, Any], *, seed: int, run: Path) -> Any:
    """A small model of one world."""
    shape = {key: value for key, value in arm.items() if key.endswith("indication")}
    unseen = world.hard if arm.get("split") == "hard" else world.unseen
    seen = [name for name in world.names if name not in unseen]
    listed = [name for name in unseen if not (arm.get("split") == "open" and name in world.open)]
    built = {**world.model, **shape, **({"resolution": options.resolution} if options.resolution else {})}
    torch.manual_seed(seed)
    system = create_model(built.pop("arch"), knowledge=world.knowledge, seen=seen, unseen=listed, **built)
    loss = {key: value for key, value in arm.items() if key == "knowledge_weight"}
    settings = {**world.training, **loss, **options.settings}
    settings["steps"] = options.steps or settings["steps"]
    images = world.images(system.config.seen, system.config.resolution)
    options_of_run = {"seed": seed, "progress": False, "precision": "fp32"}
    return train(system, images, output_dir=run, **options_of_run, **settings).model


def score(model: Any, world: World, judge: Judge, samples: int, extractor: Extractor) -> dict[str, Any]:
    """Accuracy by the judge, kernel distances to real images, chroma at the border and variety, by group."""
    config, found = model.config, {}
    first = {name.split()[0] for name in config.seen}
    groups = {
        "seen": list(config.seen),
        "unseen": list(config.unseen),
        "unseen_colours": [name for name in config.unseen if name.split()[0] not in first],
        "unseen_pairs": [name for name in config.unseen if name.split()[0] in first],
    }
    drawn = {name: model.generate(samples, category=name).tensor for name in config.categories}
    for group, names in groups.items():
        if names:
            found[group] = judged(judge, world, drawn, names)
    if config.unseen_indication == "embedding":
        found |= by_vector(model, world, judge, samples)
    for group in ("seen", "unseen"):
        names = groups[group]
        real = real_images(world, names, config.resolution)
        fake = torch.cat([drawn[name] for name in names])
        fake = fake[torch.randperm(len(fake), generator=torch.Generator().manual_seed(0))[:KERNEL_IMAGES]]
        found[f"{group}_kd"] = round(kernel_distance(extractor(real), extractor(to_uint8(fake))).value, 4)
        found[f"{group}_border_chroma"] = round(border_chroma(fake), 4)
        found[f"{group}_diversity"] = round(diversity([drawn[name] for name in names], extractor), 4)
    return found


def judged(judge: Judge, world: World, drawn: dict[str, Tensor], names: Sequence[str]) -> dict[str, float]:
    """Shares of the drawn images that are read as what they are named."""
    wanted = [name.split() for name in names for _ in range(len(drawn[name]))]
    return shares(judge.right(torch.cat([drawn[name] for name in names]), wanted), world.attributes)


def by_vector(model: Any, world: World, judge: Judge, samples: int) -> dict[str, Any]:
    """Unseen categories given as vectors: each that of its neighbour in the list (``permuted``), and those never listed."""
    unseen, found = list(model.config.unseen), {}
    neighbour = dict(zip(unseen, unseen[1:] + unseen[:1], strict=True))
    drawn = {
        other: model.generate(samples, category=world.knowledge.vector(other)).tensor for other in neighbour.values()
    }
    found["permuted"] = judged(judge, world, drawn, list(neighbour.values()))
    never = [name for name in world.names if name not in model.config.categories]
    if never:
        drawn = {name: model.generate(samples, category=world.knowledge.vector(name)).tensor for name in never}
        found["never_listed"] = judged(judge, world, drawn, never)
    return found


def border_chroma(images: Tensor) -> float:
    """Mean difference of the strongest and the weakest channel within ``BORDER`` pixels of the border, in [0, 1]."""
    chroma = (images.amax(dim=1) - images.amin(dim=1)) / 2
    inner = chroma[:, BORDER:-BORDER, BORDER:-BORDER]
    border = (chroma.sum(dim=(1, 2)) - inner.sum(dim=(1, 2))) / (chroma[0].numel() - inner[0].numel())
    return float(border.mean())


def diversity(drawn: Sequence[Tensor], extractor: Extractor) -> float:
    """Mean distance of the features of two images of one category, over the categories."""
    features = [extractor(to_uint8(images)) for images in drawn]
    return float(torch.stack([torch.pdist(one.float()).mean() for one in features]).mean())


def real_images(world: World, names: Sequence[str], resolution: int) -> Tensor:
    """``KERNEL_IMAGES`` real images, as many of each category."""
    return to_uint8(next(CategoryBatches(world.images(names, resolution), KERNEL_IMAGES))["images"])


def sheet(model: Any) -> Image.Image:
    """A row for each of the first eight unseen categories, seeds 0 to 7."""
    rows = [model.generate(SHEET_SEEDS, category=name).tensor for name in model.config.unseen[:SHEET_SEEDS]]
    return image_grid(torch.cat(rows), SHEET_SEEDS)
