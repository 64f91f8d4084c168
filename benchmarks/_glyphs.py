"""Coloured characters of Omniglot: a class is a pair of colours and a stroke width, the content is the character.

    python benchmarks/_glyphs.py --data OMNIGLOT --output glyphs

writes 60 class folders of 30 images of 32 px for a training (OMNIGLOT is a folder or zip with one sub-folder per character).
The right answer of translating a content into a class is the same drawing with that width in those colours. Fifty
characters are kept out of the training; they are the contents of the test.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _digits import recognised, ssim
from _known_truth import Task
from _petals import ideal, palettes, photographed
from torch import Tensor

from lowshotgan.data.classes import load_classes
from lowshotgan.data.images import to_pil

WIDTHS = (0, 1, 2)
"""By so many pixels of 64 strokes are thickened on either side; class ``c`` has the ``c mod 3``-rd."""
READ_AT = 64
KEPT_OUT = 50


def inks(data: Any) -> tuple[Tensor, Tensor]:
    """Ink ``(characters, drawings, 1, 64, 64)`` in [0, 1] of the characters of a training, and of those kept out."""
    found = load_classes(data, resolution=READ_AT)
    order = torch.randperm(len(found.classes), generator=torch.Generator().manual_seed(0)).tolist()
    fewest = min(len(rows) for rows in found.rows)
    every = torch.stack([1 - found.of_class(found.classes[row])[:fewest, :1] / 255 for row in order])
    return every[:-KEPT_OUT], every[-KEPT_OUT:]


def thickened(ink: Tensor, width: int, *, side: int) -> Tensor:
    """``(N, 1, side, side)`` masks of ink ``(N, 1, 64, 64)`` whose strokes are ``width`` pixels thicker on either side."""
    thick = F.max_pool2d(ink, 2 * width + 1, stride=1, padding=width) if width else ink
    return F.interpolate(thick, (side, side), mode="area")


def glyph_task(data: Any, *, classes: int, side: int, seed: int) -> Task:
    """Fifty characters that no training has seen, one drawing each, into classes whose colours none has seen."""
    known, kept = inks(data)
    generator = torch.Generator().manual_seed(seed + 3)
    ink = kept[torch.arange(len(kept)), torch.randint(kept.shape[1], (len(kept),), generator=generator)]
    colours = palettes(classes, seed=seed + 1)
    masks = torch.stack([thickened(ink, width, side=side) for width in WIDTHS])  # (W, N, 1, S, S)
    own = torch.randint(len(WIDTHS), (len(ink),), generator=generator)
    content = photographed(masks[own, torch.arange(len(ink))], palettes(len(ink), seed=seed + 2), seed=seed + 4)

    def exemplars(label: int, k: int, draw: int) -> Tensor:
        return drawings(known, colours[label], label, k, side=side, seed=1 + label + 1009 * draw)

    def judge(images: Tensor, shift: int) -> Mapping[str, Tensor]:
        shown = images.unflatten(0, (classes, len(ink)))
        each = [_judged(one, masks.roll(shift, 1), label, colours) for label, one in enumerate(shown)]
        return {name: torch.cat([values[name] for values in each]) for name in each[0]}

    def truth(label: int) -> Tensor:
        return ideal(masks[label % len(WIDTHS)], colours[label]) * 2 - 1

    return Task(content, classes, exemplars, judge, truth)


def drawings(ink: Tensor, palette: Tensor, label: int, count: int, *, side: int, seed: int) -> Tensor:
    """``(count, 3, side, side)`` images in [-1, 1] of a class: characters ``(C, D, 1, 64, 64)`` drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(ink.shape[0] * ink.shape[1], (count,), generator=generator)
    masks = thickened(ink.flatten(0, 1)[rows], WIDTHS[label % len(WIDTHS)], side=side)
    return photographed(masks, palette, seed=seed)


def _judged(images: Tensor, masks: Tensor, label: int, colours: Tensor) -> dict[str, Tensor]:
    """Figures of translations ``(N, 3, S, S)`` into class ``label`` of contents with masks ``(W, N, 1, S, S)``."""
    width = label % len(WIDTHS)
    right, target, shown = masks[width], colours[label], images * 0.5 + 0.5
    truth = ideal(right, target)
    nearest = (_colours(shown, right)[:, None] - colours[None]).square().sum(dim=(2, 3)).argmin(dim=1)
    distances = (shown[:, None] - target[None, :, :, None, None]).square().sum(dim=2)  # (N, 2, S, S)
    found = (distances[:, 0] < distances[:, 1]).float()[:, None]
    widths = (masks - found).abs().mean(dim=(2, 3, 4)).argmin(dim=0)
    numbers = torch.arange(len(images))
    return {
        "ssim": ssim(images, truth * 2 - 1),
        "l1": (shown - truth).abs().mean(dim=(1, 2, 3)),
        "colours": (nearest == label).float(),
        "width": (widths == width).float(),
        "character": (recognised(found, right, numbers) == numbers).float(),
    }


def _colours(images: Tensor, masks: Tensor) -> Tensor:
    """``(N, 2, 3)`` colours of ink and ground that explain images ``(N, 3, S, S)`` best, given soft masks of the ink."""
    shares = torch.stack([masks.flatten(1), 1 - masks.flatten(1)], dim=1)  # (N, 2, S * S)
    return torch.linalg.solve(shares @ shares.mT + 1e-4 * torch.eye(2), shares @ images.flatten(2).mT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Omniglot, one folder per character")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--classes", type=int, default=60)
    parser.add_argument("--per-class", type=int, default=30)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    wish = parser.parse_args()
    known, _ = inks(wish.data)
    for label, palette in enumerate(palettes(wish.classes, seed=wish.seed)):
        folder = wish.output / f"{label:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        images = drawings(known, palette, label, wish.per_class, side=wish.side, seed=wish.seed * 1000 + label)
        for number, image in enumerate(to_pil(images)):
            image.save(folder / f"{number:03d}.png")


if __name__ == "__main__":
    main()
