"""Draw a sheet of a model of categories: a row for each category, a column for each seed, seed 0 first.

    python examples/draw_categories.py kggan_64.avatars_v1 --unseen --columns 12 --output unseen.png
    python examples/draw_categories.py runs/shapes --category "blue cross" --category "red ring" --output some.png

Time: seconds. Nothing is selected; the rows are printed.
"""

import argparse
from pathlib import Path

from lowshotgan import load
from lowshotgan.data.images import image_grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of weights, or folder of a model or run")
    parser.add_argument("--category", action="append", default=[], help="a row; may be repeated")
    parser.add_argument("--unseen", action="store_true", help="all categories without images")
    parser.add_argument("--columns", type=int, default=8, help="seeds")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    model = load(options.model)
    rows = options.category or list(model.config.unseen if options.unseen else model.categories)
    draw_sheet(model, rows, options.columns).save(options.output)
    print("\n".join(rows))


def draw_sheet(model, rows, columns):
    """A picture of ``rows`` (names of categories) times ``columns`` (seeds)."""
    names = [name for name in rows for _ in range(columns)]
    seeds = list(range(columns)) * len(rows)
    return image_grid(model.generate(category=names, seeds=seeds).tensor, columns)


if __name__ == "__main__":
    main()
