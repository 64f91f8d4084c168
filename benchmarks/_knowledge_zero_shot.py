"""Zero-shot cells of ``knowledge.py``: the judge, training of an arm, and its scores."""

import argparse
import csv
import io
import itertools
import time
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.api import create_model, load, train
from lowshotgan.data.categories import CategoryBatches, load_categories
from lowshotgan.data.images import from_uint8
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.kernel import kernel_distance

RECIPE = Path(__file__).parents[1] / "recipes" / "kggan_64.avatars_v1.toml"
COLUMNS = ("hair_color_name", "skinColor")
SIDE = 32
"""The judge sees images of this size, whatever the size of the model."""
JUDGE_STEPS = 700
CELL_STEPS = {"steps": 200, "warm_up_steps": 300, "embedding_steps": 200}
"""Of a cell that is trained here, at 32 px."""
KERNEL_IMAGES = 400

ZERO_SHOT_ARMS: dict[str, dict[str, Any]] = {
    "full": {},
    "no_semantic": {"knowledge_weight": 0.0},
    "one_hot": {"knowledge_weight": 0.0, "seen_indication": "one_hot", "unseen_indication": "one_hot"},
}


class Judge(nn.Module):
    """Reads hair and skin colour off images; trained on real images of all categories, tested on other ones.

    Args:
        values: names of the hair colours and of the skin colours.
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
        """``(B, 3, R, R)`` in [-1, 1] to logits of hair and of skin."""
        features = self.body(F.adaptive_avg_pool2d(images, SIDE))
        return [head(features) for head in self.heads]

    @torch.no_grad()
    def right(self, images: Tensor, wanted: list[list[str]]) -> Tensor:
        """``(N, 2)`` whether hair and skin are read as wanted."""
        found = [torch.cat(parts) for parts in zip(*(self.eval()(x) for x in images.split(128)), strict=True)]
        target = [torch.tensor([v.index(one[i]) for one in wanted]) for i, v in enumerate(self.values)]
        return torch.stack([f.argmax(dim=1) == t for f, t in zip(found, target, strict=True)], dim=1)

    @classmethod
    def trained(cls, data: Path, path: Path) -> "Judge":
        """The judge kept at ``path``, or a new one trained on every other image of each category of ``data``."""
        names = categories_of(data)
        values = [sorted({name.split()[i] for name in names}) for i in (0, 1)]
        judge = cls(values)
        if path.is_file():
            kept = torch.load(path, weights_only=True)
            judge.load_state_dict(kept["state"])
            judge.accuracy = kept["accuracy"]
            return judge
        images = load_categories(data, names, resolution=SIDE, labels="attributes.csv", columns=COLUMNS)
        even = torch.arange(len(images)) % 2 == 0
        pixels = from_uint8(images.images.uint8(torch.arange(len(images))))
        wanted = [images.categories[int(label)].split() for label in images.labels]
        target = torch.tensor([[v.index(one[i]) for i, v in enumerate(values)] for one in wanted])
        rows = even.nonzero()[:, 0]
        optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=JUDGE_STEPS)
        draws = torch.Generator().manual_seed(0)
        for _ in range(JUDGE_STEPS):
            chosen = rows[torch.randint(len(rows), (64,), generator=draws)]
            noisy = pixels[chosen] + 0.05 * torch.randn(pixels[chosen].shape, generator=draws)
            logits = judge.train()(noisy)
            loss = sum(F.cross_entropy(one, target[chosen, i]) for i, one in enumerate(logits))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        odd = (~even).nonzero()[:, 0]
        right = judge.right(pixels[odd], [wanted[int(row)] for row in odd])
        judge.accuracy = shares(right)
        torch.save({"state": judge.state_dict(), "accuracy": judge.accuracy}, path)
        return judge


def categories_of(data: Path) -> list[str]:
    """All ``hair skin`` pairs of the pack's table."""
    if data.is_dir():
        text = (data / "attributes.csv").read_text(encoding="utf-8")
    else:
        with zipfile.ZipFile(data) as archive:
            text = archive.read("attributes.csv").decode("utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return sorted({" ".join(row[column] for column in COLUMNS) for row in rows})


def shares(right: Tensor) -> dict[str, float]:
    """Share of images with hair, skin and both right, from ``(N, 2)``."""
    both = right.all(dim=1).float().mean()
    hair, skin = right.float().mean(dim=0).tolist()
    return {"joint": round(float(both), 4), "hair": round(hair, 4), "skin": round(skin, 4)}


def zero_shot_cell(
    judge: Judge,
    options: argparse.Namespace,
    arm: dict[str, Any] | None,
    model: str | None,
    *,
    seed: int,
    run: Path,
) -> dict[str, Any]:
    """Train one arm (or load a model) and score it."""
    began = time.perf_counter()
    found = load(model) if model else train_arm(options, arm or {}, seed=seed, run=run)
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds),
        "resolution": found.config.resolution,
        "judge": judge.accuracy,
        "chance": round(1 / (len(judge.values[0]) * len(judge.values[1])), 4),
        **score(found, judge, options.data, options.samples),
    }


def train_arm(options: argparse.Namespace, arm: dict[str, Any], *, seed: int, run: Path) -> Any:
    """A small model of the published recipe's data and categories."""
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    shape = {key: value for key, value in arm.items() if key.endswith("indication")}
    small = {"resolution": options.resolution or 32, "cell": 1, "width": 64, "discriminator_width": 32}
    built = {**recipe["model"], **small, **shape, "embedding_width": 16}
    built["knowledge"] = str(RECIPE.parents[1] / built["knowledge"])
    torch.manual_seed(seed)
    system = create_model(built.pop("arch"), **built)
    settings = {**recipe["train"], **CELL_STEPS, **{k: v for k, v in arm.items() if k not in shape}}
    settings["steps"] = options.steps or settings["steps"]
    images = system.read_data(options.data, labels="attributes.csv", columns=list(COLUMNS))
    result = train(system, images, output_dir=run, seed=seed, progress=False, precision="fp32", **settings)
    return result.model


def score(model: Any, judge: Judge, data: Path, samples: int) -> dict[str, Any]:
    """Accuracy by the judge of seen and unseen categories, and kernel distances to real images."""
    config, found = model.config, {}
    colours = {name.split()[0] for name in config.seen}
    groups = {
        "seen": list(config.seen),
        "unseen": list(config.unseen),
        "unseen_colours": [name for name in config.unseen if name.split()[0] not in colours],
        "unseen_pairs": [name for name in config.unseen if name.split()[0] in colours],
    }
    drawn = {name: model.generate(samples, category=name).tensor for name in config.categories}
    for group, names in groups.items():
        if names:
            images = torch.cat([drawn[name] for name in names])
            found[group] = shares(judge.right(images, [name.split() for name in names for _ in range(samples)]))
    extractor = load_extractor("lsg1")
    for group in ("seen", "unseen"):
        real = real_images(data, groups[group], config.resolution)
        fake = torch.cat([drawn[name] for name in groups[group]])
        fake = fake[torch.randperm(len(fake), generator=torch.Generator().manual_seed(0))[:KERNEL_IMAGES]]
        found[f"{group}_kd"] = round(kernel_distance(extractor(real), extractor(to_bytes(fake))).value, 4)
    return found


def real_images(data: Path, names: list[str], resolution: int) -> Tensor:
    """``KERNEL_IMAGES`` real images, as many of each category."""
    images = load_categories(data, names, resolution=resolution, labels="attributes.csv", columns=COLUMNS)
    return to_bytes(next(CategoryBatches(images, KERNEL_IMAGES))["images"])


def to_bytes(images: Tensor) -> Tensor:
    """[-1, 1] to uint8."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
