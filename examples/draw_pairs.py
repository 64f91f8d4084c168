"""Make pairs with a known appearance map: K images and the same images as lines, in neon, in two tones or recoloured.

    python examples/draw_pairs.py avatars/ --style line -k 10 --output pairs
    lowshotgan finetune pairs --model runs/lado --output runs/lines

Of Fashion-MNIST: --classes 0,2,4,6 --split train --fit pad --background 0,0,0 --no-enlarge --resolution 32

Time: seconds. Expected: pairs/source and pairs/target with equal file names.
"""

import argparse
from pathlib import Path

from lowshotgan.data.appearance import STYLES, apply_appearance
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import to_pil


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="folder or zip of source images")
    parser.add_argument("--style", choices=sorted(STYLES), default="line")
    parser.add_argument("-k", type=int, default=10, help="number of pairs")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--fit", choices=["crop", "pad"], default="crop")
    parser.add_argument("--background", default="255,255,255")
    parser.add_argument("--no-enlarge", action="store_true")
    parser.add_argument("--classes", help="numbers or folders, with commas between; all if left out")
    parser.add_argument("--split", choices=["train", "test"], help="of a folder of idx files")
    parser.add_argument("--output", type=Path, default=Path("pairs"))
    options = parser.parse_args()
    some = {"split": options.split} if options.split else {}
    if options.classes:
        some["classes"] = [int(name) if name.isdigit() else name for name in options.classes.split(",")]
    chosen = load_images(
        options.images,
        resolution=options.resolution,
        k=options.k,
        seed=options.seed,
        fit=options.fit,
        background=tuple(int(level) for level in options.background.split(",")),
        enlarge=not options.no_enlarge,
        **some,
    )
    write_pairs(chosen.uint8(), options.style, options.output)


def write_pairs(images, style: str, folder: Path) -> None:
    """Write ``images (K, 3, R, R)`` uint8 to ``source`` and their counterparts to ``target``."""
    for name, pictures in (("source", images), ("target", apply_appearance(images, style))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(to_pil(pictures)):
            picture.save(folder / name / f"{number:03d}.png")


if __name__ == "__main__":
    main()
