"""Items of two modalities for the cross-modal benchmark, and classifiers trained on real items alone that judge them."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lowshotgan.hub.tensors import read_tensors, write_tensors
from lowshotgan.systems.syncgan.data import SyncData
from lowshotgan.systems.syncgan.modalities import ImageModality, Modality, SpectrogramModality

TEST_TAKES = "*_0[0-4].wav"
TRAIN_IMAGES, TEST_IMAGES = 20_000, 2_000
CLASSES = 10


@dataclass(frozen=True)
class Items:
    """Items of one modality: ``values (N, C, H, W)`` in [-1, 1] and ``labels (N,)``."""

    values: Tensor
    labels: Tensor


NAMES = {"speech": ("image", "audio"), "garments": ("digit", "garment")}
"""Of the modalities: digits and their spoken names, or digits and garments, class by class."""


def modalities(pair: str) -> dict[str, Modality]:
    """Both modalities of a pair of ``NAMES``."""
    first, second = NAMES[pair]
    return {
        first: ImageModality(28, 1),
        second: SpectrogramModality.spoken() if second == "audio" else ImageModality(28, 1),
    }


def read_items(pair: str, paths: Mapping[str, Path], *, test: bool) -> dict[str, Items]:
    """Training or test items of both modalities, labelled by folder or label file.

    Args:
        pair: of ``NAMES``.
        paths: modality -> folder of idx files, or folder or zip of recordings named ``<digit>/<speaker>_<take>.wav``.
        test: the idx test files, and takes 0 to 4 of every speaker, which training leaves out.
    """
    found = {}
    for name, modality in modalities(pair).items():
        if name == "audio":
            options: dict[str, Any] = {"include": [TEST_TAKES]} if test else {"exclude": [TEST_TAKES]}
        else:
            options = {"split": "test" if test else "train", "k": TEST_IMAGES if test else TRAIN_IMAGES}
        values, labels = modality.read_labelled(paths[name], **options)
        found[name] = Items(values, torch.tensor([int(label or -1) for label in labels]))
    return found


def as_sync_data(items: Mapping[str, Items]) -> SyncData:
    """Items paired by label."""
    values = {name: one.values for name, one in items.items()}
    return SyncData(values, {name: one.labels for name, one in items.items()}, by_label=True)


def make_judge(shape: tuple[int, int, int]) -> nn.Sequential:
    """Three small convolutions with batch norm and pooling, and one layer."""
    widths, layers = [shape[0], 16, 32, 64], []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * (shape[1] // 8) ** 2, CLASSES))


def train_judge(items: Items, *, steps: int = 600, seed: int = 0) -> nn.Sequential:
    """A classifier of real items, moved sideways by up to two pixels or moments."""
    torch.manual_seed(seed)
    judge = make_judge(items.values.shape[1:])  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    for _ in range(steps):
        rows = torch.randint(len(items.values), (64,))
        seen = items.values[rows].roll(int(torch.randint(-2, 3, (1,))), dims=3)
        loss = F.cross_entropy(judge(seen), items.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return judge.eval()


def judges(train: Mapping[str, Items], folder: Path) -> dict[str, nn.Sequential]:
    """A judge of each modality, from ``folder`` or trained and put there."""
    found = {}
    for name, items in train.items():
        path = folder / f"judge-{name}.safetensors"
        if path.is_file():
            found[name] = make_judge(items.values.shape[1:])  # type: ignore[arg-type]
            found[name].load_state_dict(read_tensors(path))
        else:
            found[name] = train_judge(items)
            folder.mkdir(parents=True, exist_ok=True)
            write_tensors(path, found[name].state_dict())
    return {name: judge.eval() for name, judge in found.items()}


@torch.no_grad()
def classes_of(judge: nn.Module, values: Tensor) -> Tensor:
    """``(N,)`` predicted classes."""
    return torch.cat([judge(part).argmax(dim=1) for part in values.split(250)])


def perplexity(classes: Tensor) -> float:
    """How many classes are drawn: exp of the entropy of their shares; 10 if all equally often."""
    share = torch.bincount(classes, minlength=CLASSES).double() / len(classes)
    return float((-(share * (share + 1e-12).log()).sum()).exp())


def agreement(first: Tensor, second: Tensor) -> float:
    """Share of equal classes, position by position."""
    return float((first == second).double().mean())
