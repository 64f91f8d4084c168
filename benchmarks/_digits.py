"""Coloured digits, the first task of EGSC-IT's paper: the right answer of every translation is known.

    python benchmarks/_digits.py --data MNIST --output digits

Domain a holds digits in white on black or black on white, domain b digits in two of the three colours red, green and blue,
one for the strokes and one for the ground. In the training images of b the digits 5 to 9 are always red on green, so that
all their other colours are new at test time. Written are two folders of 28 px PNGs, ``a-grey`` and ``b-colour``, of
different digits. Translating an image of a by an exemplar of b should give the digit of the first in the colours of
the second.
"""

import argparse
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lowshotgan.data.idx import IdxSource
from lowshotgan.data.images import to_pil

GREYS = torch.tensor([[[1.0] * 3, [0.0] * 3], [[0.0] * 3, [1.0] * 3]])
"""Colours of strokes and ground in domain a, ``(2, 2, 3)`` in [0, 1]."""
COLOURS = torch.stack([torch.eye(3)[list(pair)] for pair in permutations(range(3), 2)])
"""Those of domain b, ``(6, 2, 3)``."""
USUAL = 0
"""Which of them, red on green, the digits 5 to 9 always have in training."""
SIDES = {"a": "a-grey", "b": "b-colour"}


def strokes(folder: Path, split: str, rows: range) -> tuple[Tensor, Tensor]:
    """Masks ``(N, 1, 28, 28)`` of 0 and 1 of some digits of MNIST, and which digits they are, ``(N,)``."""
    masks, digits = [], []
    for digit in range(10):
        source = IdxSource(folder, classes=[digit], split=split)
        for row in rows:
            grey = torch.frombuffer(bytearray(source.decode(row).image.convert("L").tobytes()), dtype=torch.uint8)
            masks.append((grey.view(1, 28, 28) > 127).float())
            digits.append(digit)
    return torch.stack(masks), torch.tensor(digits)


def painted(masks: Tensor, colours: Tensor) -> Tensor:
    """Masks ``(N, 1, H, W)`` in the colours ``(N, 2, 3)`` of strokes and ground, in [-1, 1]."""
    front, back = colours[:, 0, :, None, None], colours[:, 1, :, None, None]
    return (masks * front + (1 - masks) * back) * 2 - 1


def training_colours(digits: Tensor, *, seed: int) -> Tensor:
    """Which of ``COLOURS`` each digit of domain b has in training."""
    drawn = torch.randint(len(COLOURS), digits.shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(digits >= 5, torch.full_like(drawn, USUAL), drawn)


@dataclass(frozen=True)
class Judgement:
    """How translations from a to b compare with the right answers.

    Attributes:
        ssim: mean structural similarity to them (see ``ssim``).
        colours_seen: share with the right pair of colours, where digits of that kind had it in training.
        colours_unseen: the same for pairs that were new for that digit.
        digit: share whose strokes show the digit of the content, by the nearest of real digits.
    """

    ssim: float
    colours_seen: float
    colours_unseen: float
    digit: float


def judge(images: Tensor, masks: Tensor, digits: Tensor, palettes: Tensor, known: tuple[Tensor, Tensor]) -> Judgement:
    """Compare translations with the truth.

    Args:
        images: ``(N, 3, 28, 28)`` in [-1, 1].
        masks: ``(N, 1, 28, 28)`` of the contents.
        digits: ``(N,)`` which digits they are.
        palettes: ``(N,)`` which of ``COLOURS`` the exemplars have.
        known: masks and labels of other digits, by which digits are recognised.
    """
    target = COLOURS[palettes]
    shown = images * 0.5 + 0.5
    means = torch.stack([_mean(shown, masks), _mean(shown, 1 - masks)], dim=1)  # (N, 2, 3)
    right = (means[:, None] - COLOURS[None]).square().sum(dim=(2, 3)).argmin(dim=1) == palettes
    new = (digits >= 5) & (palettes != USUAL)
    distances = (shown[:, None] - target[..., None, None]).square().sum(dim=2)  # (N, 2, 28, 28)
    strokes_found = (distances[:, 0] < distances[:, 1]).float()[:, None]
    return Judgement(
        ssim=float(ssim(images, painted(masks, target)).mean()),
        colours_seen=float(right[~new].float().mean()),
        colours_unseen=float(right[new].float().mean()),
        digit=float((recognised(strokes_found, *known) == digits).float().mean()),
    )


def recognised(masks: Tensor, known: Tensor, labels: Tensor) -> Tensor:
    """``(N,)`` digits of masks: that of the nearest known one, after a blur that forgives a pixel."""
    ours, theirs = (F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1).flatten(1) for x in (masks, known))
    return labels[torch.cdist(ours, theirs).argmin(dim=1)]


def ssim(images: Tensor, truth: Tensor) -> Tensor:
    """``(N,)`` structural similarities of images in [-1, 1] (Wang et al. 2004), Gaussian window 11, deviation 1.5."""
    axis = torch.arange(11) - 5.0
    line = (-(axis**2) / (2 * 1.5**2)).exp()
    window = (line[:, None] * line[None] / line.sum() ** 2).expand(3, 1, 11, 11)

    def local(x: Tensor) -> Tensor:
        return F.conv2d(x, window, groups=3)

    x, y = images * 0.5 + 0.5, truth * 0.5 + 0.5
    mean_x, mean_y = local(x), local(y)
    var_x, var_y = local(x * x) - mean_x**2, local(y * y) - mean_y**2
    both = local(x * y) - mean_x * mean_y
    first, second = 0.01**2, 0.03**2
    value = (2 * mean_x * mean_y + first) * (2 * both + second)
    return (value / ((mean_x**2 + mean_y**2 + first) * (var_x + var_y + second))).flatten(1).mean(dim=1)


def _mean(images: Tensor, weights: Tensor) -> Tensor:
    return (images * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3)).clamp(min=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of MNIST's idx files")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--per-digit", type=int, default=300, help="images of each digit and domain")
    parser.add_argument("--seed", type=int, default=0)
    wish = parser.parse_args()
    count = wish.per_digit
    grey, _ = strokes(wish.data, "train", range(count))
    turn = torch.randint(2, (len(grey),), generator=torch.Generator().manual_seed(wish.seed))
    write(painted(grey, GREYS[turn]), wish.output / SIDES["a"])
    masks, digits = strokes(wish.data, "train", range(count, 2 * count))
    write(painted(masks, COLOURS[training_colours(digits, seed=wish.seed + 1)]), wish.output / SIDES["b"])


def write(images: Tensor, folder: Path) -> None:
    """PNGs in a random order that depends on nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()
    pictures: list[Image.Image] = to_pil(images[order])
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number:05d}.png")


if __name__ == "__main__":
    main()
