"""Palette petals: drawn blobs whose layout and colours are known exactly, so that a translation can be judged.

    python benchmarks/_petals.py --output petals

writes 60 class folders of 30 images of 32 px for a training. A class is a pair of colours (blob, ground); the content is a
blob with three to seven petals anywhere. The right answer of translating a content into a class is the same blob in the
class's colours.
"""

import argparse
import colorsys
from collections.abc import Mapping
from pathlib import Path

import torch
from _known_truth import Task
from PIL import Image
from torch import Tensor

from lowshotgan.data.images import to_pil

JITTER, NOISE = 0.05, 0.02
PER_CLASS = 30


def palettes(count: int, *, seed: int) -> Tensor:
    """``(count, 2, 3)`` colours of blob and ground in [0, 1]; the first of a longer draw are those of a shorter one."""
    found = []
    for index in range(count):
        generator = torch.Generator().manual_seed(seed * 100_003 + index)
        hue, bright, strong, turn, dull, dark = torch.rand(6, generator=generator).tolist()
        front = colorsys.hsv_to_rgb(hue, 0.6 + 0.4 * strong, 0.75 + 0.25 * bright)
        back = colorsys.hsv_to_rgb((hue + 0.25 + 0.5 * turn) % 1, 0.5 + 0.4 * dull, 0.15 + 0.35 * dark)
        found.append([front, back])
    return torch.tensor(found)


def blobs(count: int, *, side: int, seed: int) -> Tensor:
    """``(count, 1, side, side)`` masks in [0, 1] with soft edges."""
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for _ in range(count):
        size, left, top, turn = torch.rand(4, generator=generator).tolist()
        petals = int(torch.randint(3, 8, (1,), generator=generator))
        dx, dy = x - (0.8 * left - 0.4), y - (0.8 * top - 0.4)
        angle = torch.atan2(dy, dx) + 6.2832 * turn
        edge = (0.35 + 0.3 * size) * (1 + 0.35 * torch.cos(petals * angle))
        drawn.append(((edge - torch.hypot(dx, dy)) * side / 2 + 0.5).clamp(0, 1))
    return torch.stack(drawn)[:, None]


def ideal(masks: Tensor, palette: Tensor) -> Tensor:
    """Blobs ``(N, 1, S, S)`` in the colours ``(N, 2, 3)`` or ``(2, 3)``, as ``(N, 3, S, S)`` in [0, 1]."""
    front, back = palette[..., 0, :, None, None], palette[..., 1, :, None, None]
    return masks * front + (1 - masks) * back


def photographed(masks: Tensor, palette: Tensor, *, seed: int) -> Tensor:
    """As ``ideal`` but with colours that vary from image to image, and noise; in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    moved = palette + JITTER * torch.randn(len(masks), 2, 3, generator=generator)
    images = ideal(masks, moved)
    return (images + NOISE * torch.randn(images.shape, generator=generator)).clamp(0, 1) * 2 - 1


def petal_task(*, classes: int, contents: int, side: int, seed: int) -> Task:
    """Blobs of ``contents`` source palettes into ``classes`` others, none of which a training has seen."""
    colours, source = palettes(classes, seed=seed + 1), palettes(contents, seed=seed + 2)
    masks = blobs(contents, side=side, seed=seed + 3)
    labels = torch.arange(classes).repeat_interleave(contents)

    def exemplars(label: int, k: int, draw: int) -> Tensor:
        chance = 1 + label + 1009 * draw
        return photographed(blobs(k, side=side, seed=chance), colours[label], seed=chance)

    def judged(images: Tensor, shift: int) -> Mapping[str, Tensor]:
        return judge(images, masks.roll(shift, 0).repeat(classes, 1, 1, 1), labels, colours)

    content = photographed(masks, source, seed=seed + 4)
    return Task(content, classes, exemplars, judged, lambda label: ideal(masks, colours[label]) * 2 - 1)


def judge(images: Tensor, masks: Tensor, labels: Tensor, colours: Tensor) -> dict[str, Tensor]:
    """How translations compare with the truth, ``(N,)`` each: ``accuracy`` is 1 where the mean colours inside and outside
    the blob are nearest the target palette, ``iou`` the intersection over union of the blob and the pixels nearer the
    target's blob colour than its ground, ``l1`` the mean absolute difference from the ideal, in [0, 1].

    Args:
        images: ``(N, 3, S, S)`` in [-1, 1].
        masks: ``(N, 1, S, S)`` of the contents.
        labels: ``(N,)`` target palettes.
        colours: ``(C, 2, 3)`` all palettes that could have been meant.
    """
    shown, inside = images * 0.5 + 0.5, (masks > 0.5).float()
    target = colours[labels]
    means = torch.stack([_mean(shown, inside), _mean(shown, 1 - inside)], dim=1)  # (N, 2, 3)
    nearest = (means[:, None] - colours[None]).square().sum(dim=(2, 3)).argmin(dim=1)
    distances = (shown[:, None] - target[..., None, None]).square().sum(dim=2)  # (N, 2, S, S)
    found = (distances[:, 0] < distances[:, 1]).float()[:, None]
    both, either = (found * inside).sum(dim=(1, 2, 3)), (found + inside).clamp(max=1).sum(dim=(1, 2, 3))
    return {
        "accuracy": (nearest == labels).float(),
        "iou": both / either.clamp(min=1),
        "l1": (shown - ideal(masks, target)).abs().mean(dim=(1, 2, 3)),
    }


def _mean(images: Tensor, weights: Tensor) -> Tensor:
    return (images * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3)).clamp(min=1)


def training_images(classes: int, *, side: int, seed: int, per_class: int = PER_CLASS) -> dict[str, list[Image.Image]]:
    """Class name -> PIL images of the training palettes."""
    found = {}
    for label, palette in enumerate(palettes(classes, seed=seed)):
        masks = blobs(per_class, side=side, seed=seed * 1000 + label)
        found[f"{label:03d}"] = to_pil(photographed(masks, palette, seed=label))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--classes", type=int, default=60)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    wish = parser.parse_args()
    for name, images in training_images(wish.classes, side=wish.side, seed=wish.seed).items():
        (wish.output / name).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            image.save(wish.output / name / f"{number:03d}.png")


if __name__ == "__main__":
    main()
