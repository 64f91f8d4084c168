"""What the zero-shot half of ``knowledge.py`` is measured on: drawn faces of a pack, and coloured shapes of our own."""

import csv
import io
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lowshotgan.data.categories import CategorySet, load_categories
from lowshotgan.data.knowledge import Knowledge
from lowshotgan.data.shapes import coloured_shapes

RECIPE = Path(__file__).parents[1] / "recipes" / "kggan_64.avatars_v1.toml"
COLUMNS = ("hair_color_name", "skinColor")
SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan")
SHAPES_UNSEEN = ("red cross", "green circle", "blue square", "yellow triangle", "purple cross", "cyan circle")
SHAPES_HARD = ("red cross", "red circle", "green square", "green triangle", "blue cross", "blue square")
AVATARS_HARD = tuple(f"{hair} {skin}" for hair in ("pink", "green", "red", "aqua") for skin in ("763900", "9e5622"))


@dataclass(frozen=True)
class World:
    """Categories of two attributes each, some of them without images.

    Attributes:
        attributes: what the first and the second word of a category's name tell.
        knowledge: of all categories.
        unseen: categories without images.
        hard: another choice of them, where a colour is seen with only two values of the other attribute.
        open: three of ``unseen`` that the arm ``open_world`` does not even list in training.
        images: names and a resolution to the images of these categories.
        model: arguments of the small models that are trained here.
        training: their settings.
    """

    attributes: tuple[str, str]
    knowledge: Knowledge
    unseen: tuple[str, ...]
    hard: tuple[str, ...]
    open: tuple[str, ...]
    images: Callable[[Sequence[str], int], CategorySet]
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All categories."""
        return self.knowledge.names


def avatars(data: Path) -> World:
    """Drawn faces by hair and skin colour; the networks and settings of the published recipe, smaller and shorter."""
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    knowledge = Knowledge.from_file(RECIPE.parents[1] / recipe["model"].pop("knowledge"))
    unseen = tuple(recipe["model"].pop("unseen"))
    present = pairs_in(data)
    knowledge = knowledge.select([name for name in knowledge.names if name in present])

    def images(names: Sequence[str], resolution: int) -> CategorySet:
        return load_categories(data, names, resolution=resolution, labels="attributes.csv", columns=COLUMNS)

    small = {"resolution": 32, "cell": 1, "width": 64, "discriminator_width": 32, "embedding_width": 16}
    short = {"steps": 200, "warm_up_steps": 300, "embedding_steps": 200}
    open_ = ("purple f2d3b1", "red 9e5622", "ginger 763900")
    model, training = {**recipe["model"], **small}, {**recipe["train"], **short}
    return World(("hair", "skin"), knowledge, unseen, AVATARS_HARD, open_, images, model, training)


def shapes(*, each: int = 200) -> World:
    """Coloured shapes on grey, 4 x 6, of which six combinations have no images; every value is seen three times or more.

    Args:
        each: images of each category.
    """
    names = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    table = {name: dict(zip(("colour", "shape"), name.split(), strict=True)) for name in names}

    def images(wanted: Sequence[str], resolution: int) -> CategorySet:
        drawn = {
            name: coloured_shapes(name.split()[1], name.split()[0], each, resolution=resolution) for name in wanted
        }
        return load_categories(drawn, wanted, resolution=resolution)

    model = {"arch": "kggan_32", "resolution": 32}
    training = {"steps": 1500, "batch_size": 32, "embedding_steps": 3000, "folds": 0, "discriminator_steps": 1}
    training |= {"lr": 4e-4, "ema_half_life": 100.0}
    knowledge = Knowledge.from_attributes(table)
    return World(
        ("colour", "shape"), knowledge, SHAPES_UNSEEN, SHAPES_HARD, SHAPES_UNSEEN[:3], images, model, training
    )


def pairs_in(data: Path) -> set[str]:
    """All ``hair skin`` pairs of the pack's table."""
    if data.is_dir():
        text = (data / "attributes.csv").read_text(encoding="utf-8")
    else:
        with zipfile.ZipFile(data) as archive:
            text = archive.read("attributes.csv").decode("utf-8")
    return {" ".join(row[column] for column in COLUMNS) for row in csv.DictReader(io.StringIO(text))}
