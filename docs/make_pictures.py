"""Draw the pictures of the README from a run of its first command.

    lowshotgan finetune examples/ten-shots --output runs/print
    python docs/make_pictures.py --run runs/print

Time: seconds. Writes docs/images/ten-shots.png: the ten inputs, twelve seeds of the base, the same seeds adapted.
Nothing is selected: the seeds are 0 to 11.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lowshotgan import load
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8, to_pil

HERE = Path(__file__).resolve().parent
SEEDS = range(12)
SCALE = 2
GAP = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/print"), help="run folder of the README's command")
    parser.add_argument("--images", type=Path, default=HERE.parent / "examples" / "ten-shots")
    parser.add_argument("--output", type=Path, default=HERE / "images" / "ten-shots.png")
    options = parser.parse_args()
    model = load(options.run)
    inputs = from_uint8(load_images(options.images, resolution=model.config.resolution).uint8())
    base, adapted = (model.blend(strength).generate(seeds=SEEDS).tensor for strength in (0.0, 1.0))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    stack([inputs, base, adapted]).save(options.output, optimize=True)
    print(options.output)


def stack(rows: list[Tensor]) -> Image.Image:
    """Rows of images ``(N, 3, R, R)``, centred under one another on white."""
    side = rows[0].shape[-1] * SCALE
    width = max(len(row) for row in rows) * (side + GAP) + GAP
    sheet = Image.new("RGB", (width, len(rows) * (side + GAP) + GAP), "white")
    for y, row in enumerate(rows):
        left = (width - len(row) * (side + GAP) + GAP) // 2
        for x, image in enumerate(to_pil(torch.as_tensor(row))):
            place = (left + x * (side + GAP), GAP + y * (side + GAP))
            sheet.paste(image.resize((side, side), Image.Resampling.BICUBIC), place)
    return sheet


if __name__ == "__main__":
    main()
