"""Draw the pictures of the page on SyncGAN from its published weights.

    python docs/make_syncgan_pictures.py

Time: seconds. Writes docs/images/<weights>.png: seeds 0 to 23, not selected, both modalities side by side, sounds as
spectrograms.
"""

import argparse
from pathlib import Path

from PIL import Image

from lowshotgan import list_weights, load

HERE = Path(__file__).resolve().parent
SCALE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[n for n in list_weights() if n.startswith("syncgan")])
    parser.add_argument("--output", type=Path, default=HERE / "images")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.models:
        sheet = load(name).generate(24).grid(6)
        path = options.output / f"{Path(name).name}.png"
        sheet.resize((sheet.width * SCALE, sheet.height * SCALE), Image.Resampling.NEAREST).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main()
