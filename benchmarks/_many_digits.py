"""Many digits in one picture, the second task of EGSC-IT's paper: the right answer of every translation is known.

    python benchmarks/_many_digits.py --data MNIST --output many

Every image of 112 px holds the ten digits, each once, in random cells of a 4 x 4 grid. In domain a they are white on black
or black on white. In domain b the digit d has the hue d / 10, with saturation and brightness drawn anew for each digit of
each image, on white or black. Written are two folders of PNGs, ``a-grey`` and ``b-colour``, of different digits.
Translating an image of a by an exemplar of b should give each digit the colour that the same digit has in the exemplar, on
its ground.
"""

import argparse
import colorsys
from pathlib import Path
from typing import NamedTuple

import torch
from _digits import SIDES, ssim, strokes, write
from torch import Tensor

CELLS, CELL = 4, 28


class Scenes(NamedTuple):
    """``masks (N, 10, 112, 112)`` of the digits of each picture, their ``colours (N, 10, 3)`` and that of the ``ground
    (N, 3)``, in [0, 1]."""

    masks: Tensor
    colours: Tensor
    ground: Tensor

    def painted(self) -> Tensor:
        """``(N, 3, 112, 112)`` in [-1, 1]."""
        free = 1 - self.masks.sum(dim=1, keepdim=True)
        inks = torch.einsum("ndhw,ndc->nchw", self.masks, self.colours)
        return (inks + free * self.ground[:, :, None, None]) * 2 - 1


def scattered(masks: Tensor, count: int, *, seed: int) -> Tensor:
    """``(count, 10, 112, 112)`` masks: of digits ``(10, M, 1, 28, 28)`` one each, in cells of their own."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(count, len(masks), CELLS * CELL, CELLS * CELL)
    for picture in found:
        cells = torch.randperm(CELLS**2, generator=generator)[: len(masks)].tolist()
        drawn = torch.randint(masks.shape[1], (len(masks),), generator=generator).tolist()
        for digit, (cell, row) in enumerate(zip(cells, drawn, strict=True)):
            top, left = CELL * (cell // CELLS), CELL * (cell % CELLS)
            picture[digit, top : top + CELL, left : left + CELL] = masks[digit, row, 0]
    return found


def grey(masks: Tensor, *, seed: int) -> Scenes:
    """Domain a: strokes white on black or black on white."""
    light = torch.randint(2, (len(masks), 1, 1), generator=torch.Generator().manual_seed(seed)).float()
    return Scenes(masks, light.expand(-1, masks.shape[1], 3), (1 - light)[:, 0].expand(-1, 3))


def coloured(masks: Tensor, *, seed: int) -> Scenes:
    """Domain b."""
    generator = torch.Generator().manual_seed(seed)
    strengths = 0.5 * (0.6 + 0.8 * torch.rand(len(masks), masks.shape[1], 2, generator=generator))
    colours = [[colorsys.hsv_to_rgb(d / 10, *one) for d, one in enumerate(picture)] for picture in strengths.tolist()]
    ground = torch.randint(2, (len(masks), 1), generator=generator).float().expand(-1, 3)
    return Scenes(masks, torch.tensor(colours), ground)


def pairs(data: Path, split: str, rows: range, count: int, *, seed: int) -> tuple[Scenes, Scenes]:
    """``count`` scenes of either domain, of different drawings of MNIST."""
    half = len(rows) // 2
    parts = [strokes(data, split, part)[0].unflatten(0, (10, half)) for part in (rows[:half], rows[half : 2 * half])]
    masks = [scattered(part, count, seed=2 * seed + number) for number, part in enumerate(parts)]
    return grey(masks[0], seed=seed), coloured(masks[1], seed=seed + 1)


def judge(images: Tensor, truth: Scenes) -> dict[str, float]:
    """``ssim`` to the right answers, the mean absolute difference ``l1`` in [0, 1], and ``digits``, the share of digits
    whose mean colour is nearest to its own right one among the ten of the picture."""
    right, shown = truth.painted(), images * 0.5 + 0.5
    sums = torch.einsum("ndhw,nchw->ndc", truth.masks, shown)
    means = sums / truth.masks.sum(dim=(2, 3)).clamp(min=1)[..., None]
    nearest = torch.cdist(means, truth.colours).argmin(dim=2)  # (N, 10)
    return {
        "ssim": float(ssim(images, right).mean()),
        "l1": float((images - right).abs().mean() / 2),
        "digits": float((nearest == torch.arange(truth.colours.shape[1])).float().mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of MNIST's idx files")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--images", type=int, default=2000, help="of each domain")
    parser.add_argument(
        "--per-digit", type=int, default=600, help="drawings of each digit, half of them for each domain"
    )
    parser.add_argument("--seed", type=int, default=0)
    wish = parser.parse_args()
    domains = pairs(wish.data, "train", range(wish.per_digit), wish.images, seed=wish.seed)
    for side, scenes in zip(SIDES.values(), domains, strict=True):
        write(scenes.painted(), wish.output / side)


if __name__ == "__main__":
    main()
