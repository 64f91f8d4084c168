"""Recolouring cells of ``knowledge.py``: test images with true masks and recolourings, training of an arm, its scores."""

import argparse
import csv
import io
import json
import time
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lowshotgan.api import create_model, load, train
from lowshotgan.data.colours import ciede2000, parse_colour, to_lab
from lowshotgan.data.shapes import HAIR, painted_heads
from lowshotgan.losses.knowledge_guided import region_colour

RECIPE = Path(__file__).parents[1] / "recipes" / "kggan_recolour_128.avatars_v1.toml"
SEEN_COLOURS = ("black", "brown", "blonde", "blond")
TARGETS = ("blue", "pink")
"""Unseen colours the specification's targets are about, where the pack has them."""
STYLE = "adventurer"
"""The drawing style that is trained on; the others of the test pack are told apart."""
CELL_STEPS = 700
"""Of a cell that is trained here on the pack, at 64 px."""
HEADS, TEST_HEADS = 600, 60
"""Painted heads to train on, and others to test on."""
HEAD_STEPS = 1500
HEAD_COLOURS = {
    "red": (0.78, 0.16, 0.16),
    "green": (0.24, 0.62, 0.29),
    "blue": (0.18, 0.36, 0.84),
    "purple": (0.48, 0.25, 0.71),
    "cyan": (0.17, 0.71, 0.75),
    "pink": (0.90, 0.47, 0.69),
}
SHEET_IMAGES = 6

RECOLOUR_ARMS: dict[str, dict[str, Any]] = {
    "full": {},
    "no_g2": {"colour_weight": 0.0},
    "no_cycle": {"cycle_weight": (0.0, 0.0)},
    "no_d": {"adversarial_weight": 0.0, "category_weight": 0.0, "accuracy": 0.0},
}


@dataclass(frozen=True)
class TestImages:
    """The pack, in [0, 1].

    Attributes:
        images: ``(N, 3, 128, 128)``.
        masks: ``(N, 1, 128, 128)``, share of the pixel that follows the hair colour.
        truth: colour name -> ``(N, 3, 128, 128)``, the same drawing with that hair, where it is known.
        palette: colour name -> its RGB.
        trained_style: ``(N,)`` whether the drawing has the style of the training images.
    """

    images: Tensor
    masks: Tensor
    truth: dict[str, Tensor]
    palette: dict[str, tuple[float, float, float]]
    trained_style: Tensor

    @property
    def seen(self) -> tuple[str, ...]:
        """Colours that are categories of the training."""
        return tuple(name for name in self.palette if name in SEEN_COLOURS)

    @property
    def unseen(self) -> tuple[str, ...]:
        """The other ones."""
        return tuple(name for name in self.palette if name not in SEEN_COLOURS)

    def at(self, resolution: int) -> "TestImages":
        """The same at a smaller size."""
        small = lambda x: F.adaptive_avg_pool2d(x, resolution)  # noqa: E731
        truth = {name: small(images) for name, images in self.truth.items()}
        return TestImages(small(self.images), small(self.masks), truth, self.palette, self.trained_style)


def recolour_images(path: Path) -> TestImages:
    """Read ``hair_recolor_128.zip``."""
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("attributes.csv").decode("utf-8"))))
        palette = {name: parse_colour(value) for name, value in json.loads(archive.read("palette.json")).items()}
        stems = [row["stem"] for row in rows]
        names = archive.namelist()

        def read(folder: str, mode: str) -> Tensor:
            kept = {Path(n).stem: n for n in names if n.startswith(f"{folder}/") and not n.endswith("/")}
            return torch.stack([_pixels(archive.read(kept[stem]), mode) for stem in stems])

        truth = {name: read(f"recolor_{name}", "RGB") for name in palette}
        styles = torch.tensor([row["style"] == STYLE for row in rows])
        return TestImages(read("image", "RGB"), read("mask", "L"), truth, palette, styles)


def painted_test(resolution: int = 32) -> TestImages:
    """Painted heads the training has none of; true recolourings are known for the seen categories only."""
    drawn = painted_heads(TEST_HEADS, resolution=resolution, seed=1)
    truth = {
        name: painted_heads(TEST_HEADS, resolution=resolution, seed=1, categories=(name,)).images / 255
        for name in HAIR
    }
    styles = torch.ones(TEST_HEADS, dtype=torch.bool)
    return TestImages(drawn.images / 255, drawn.masks.float(), truth, {**HAIR, **HEAD_COLOURS}, styles)


def _pixels(content: bytes, mode: str) -> Tensor:
    image = Image.open(io.BytesIO(content)).convert(mode)
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).float() / 255
    return values.view(image.height, image.width, len(mode)).permute(2, 0, 1)


def recolour_cell(
    test: TestImages,
    options: argparse.Namespace,
    arm: dict[str, Any] | None,
    model: str | None,
    *,
    seed: int,
    run: Path,
) -> tuple[dict[str, Any], Image.Image]:
    """Train one arm (or load a model) and score it, with identity and flat paint beside it; the sheet shows six images."""
    began = time.perf_counter()
    found = load(model) if model else train_arm(options, arm or {}, seed=seed, run=run)
    seconds = time.perf_counter() - began
    has_g2 = (arm or {}).get("colour_weight", 1.0) > 0
    about = {"seconds": round(seconds), "resolution": found.config.resolution}
    return {**about, **score(found, test, has_g2=has_g2)}, sheet(found, test)


def sheet(model: Any, test: TestImages) -> Image.Image:
    """The first test images, each as it is and in every colour of the test."""
    test = test.at(model.config.resolution)
    pictures = (test.images[:SHEET_IMAGES] * 255).round().to(torch.uint8)
    return model.contact_sheet(pictures, list(test.palette.values()))  # type: ignore[no-any-return]


def train_arm(options: argparse.Namespace, arm: dict[str, Any], *, seed: int, run: Path) -> Any:
    """A smaller model of the published recipe's data and categories; without a pack, of painted heads."""
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    built: dict[str, Any] = {"arch": "kggan_recolour_64", "resolution": options.resolution or 32}
    given, settings = painted_data(built["resolution"]), {"steps": HEAD_STEPS}
    if options.part == "recolour":
        built = {**recipe["model"], "resolution": options.resolution or 64, "cell": 1}
        given, settings = options.data, {**recipe["train"], "steps": CELL_STEPS}
    torch.manual_seed(seed)
    system = create_model(built.pop("arch"), **built)
    settings |= {**arm, **options.settings, **({"steps": options.steps} if options.steps else {})}
    return train(system, given, output_dir=run, seed=seed, progress=False, precision="fp32", **settings).model


def painted_data(resolution: int) -> dict[str, Tensor]:
    """Painted heads by the colour of their hair."""
    drawn = painted_heads(HEADS, resolution=resolution)
    return {name: drawn.images[torch.tensor([one == name for one in drawn.labels])] for name in HAIR}


def score(model: Any, test: TestImages, *, has_g2: bool) -> dict[str, Any]:
    """All figures, for the trained style and for the others."""
    test = test.at(model.config.resolution)
    pictures = (test.images * 255).round().to(torch.uint8)
    mask = model.region(pictures)
    drawn = {name: (recolour(model, pictures, test, name, has_g2=has_g2) + 1) / 2 for name in test.palette}
    nearest = {name: (recolour(model, pictures, test, name, has_g2=False) + 1) / 2 for name in test.palette}
    identity = dict.fromkeys(test.palette, test.images)
    flat = {name: test.images.lerp(_plane(colour), mask) for name, colour in test.palette.items()}
    found = {}
    for style, chosen in (("trained_style", test.trained_style), ("other_styles", ~test.trained_style)):
        if not chosen.any():
            continue
        rows = {"method": drawn, "nearest": nearest, "identity": identity, "flat": flat}
        found[style] = {name: figures(images, test, chosen) for name, images in rows.items()}
        found[style]["method"]["iou"] = iou(mask[chosen], test.masks[chosen])
        found[style]["method"]["luminance_correlation"] = texture(drawn, test, chosen)
        found[style]["method"]["seen_accuracy"] = category_accuracy(model, pictures, test, chosen)
    return found


def recolour(model: Any, pictures: Tensor, test: TestImages, name: str, *, has_g2: bool) -> Tensor:
    """In [-1, 1]; without G2 by the seen category whose colour is nearest."""
    wanted = test.palette[name]
    if has_g2:
        made: Tensor = model.recolor(pictures, color=wanted).tensor
        return made
    seen = [one for one in SEEN_COLOURS if one in model.config.categories]
    apart = [float(ciede2000(_lab(test.palette[one]), _lab(wanted))) for one in seen]
    other: Tensor = model.recolor(pictures, category=seen[apart.index(min(apart))]).tensor
    return other


def figures(drawn: dict[str, Tensor], test: TestImages, chosen: Tensor) -> dict[str, Any]:
    """Errors over the target colours, over all unseen and over the seen ones, and outside the region over all."""
    each = {name: colour_errors(drawn[name][chosen], test, chosen, name) for name in drawn}
    found: dict[str, Any] = {"colours": {name: errors["error"] for name, errors in each.items()}}
    target = [name for name in TARGETS if name in drawn] or list(test.unseen)
    for group, names in (("target", target), ("unseen", test.unseen), ("seen", test.seen)):
        for key in ("error", "distance", "ciede2000", "truth_mae"):
            known = [each[name][key] for name in names if key in each[name]]
            if known:
                found[f"{group}_{key}"] = round(sum(known) / len(known), 4)
    outside = (test.masks[chosen] == 0).float()
    change = [((drawn[name][chosen] - test.images[chosen]).abs().mean(1, keepdim=True) * outside) for name in drawn]
    found["outside_change"] = round(float(sum(c.sum() for c in change) / (outside.sum() * len(change))), 4)
    return found


def colour_errors(drawn: Tensor, test: TestImages, chosen: Tensor, name: str) -> dict[str, float]:
    """Of the region's mean colour: ``error`` (mean absolute difference of the channels in [0, 1], the specification's
    unit), ``distance`` in RGB and ``ciede2000``; and ``truth_mae`` to the true recolouring, where there is one."""
    inside = (test.masks[chosen] > 0.5).float()
    mean = region_colour(drawn, inside, eps=1e-8)
    wanted = torch.tensor([test.palette[name]])
    found = {
        "error": (mean - wanted).abs().mean(),
        "distance": (mean - wanted).norm(dim=1).mean(),
        "ciede2000": ciede2000(to_lab(mean), to_lab(wanted).expand(len(mean), -1)).mean(),
    }
    if name in test.truth:
        found["truth_mae"] = (drawn - test.truth[name][chosen]).abs().mean()
    return {key: round(float(value), 4) for key, value in found.items()}


def category_accuracy(model: Any, pictures: Tensor, test: TestImages, chosen: Tensor) -> float:
    """Share of images recoloured by category whose region has the colour of that category as the nearest seen one."""
    table = to_lab(torch.tensor([test.palette[name] for name in test.seen]))
    inside, right = (test.masks[chosen] > 0.5).float(), []
    for index, name in enumerate(test.seen):
        made = (model.recolor(pictures[chosen], category=name).tensor + 1) / 2
        mean = to_lab(region_colour(made, inside, eps=1e-8))
        right.append(torch.cdist(mean, table).argmin(dim=1) == index)
    return round(float(torch.cat(right).float().mean()), 4)


def texture(drawn: dict[str, Tensor], test: TestImages, chosen: Tensor) -> float:
    """Mean correlation of luminance inside the region, output with input, over the unseen colours."""
    values = []
    for name in test.unseen:
        for before, after, mask in zip(
            test.images[chosen], drawn[name][chosen], test.masks[chosen] > 0.1, strict=True
        ):
            a, b = before.mean(0)[mask[0]], after.mean(0)[mask[0]]
            if len(a) > 2 and a.std() > 1e-3 and b.std() > 1e-3:
                values.append(float(torch.corrcoef(torch.stack([a, b]))[0, 1]))
    return round(sum(values) / max(len(values), 1), 4)


def iou(found: Tensor, truth: Tensor) -> float:
    """Mean overlap of masks cut at one half."""
    a, b = found > 0.5, truth > 0.5
    both, either = (a & b).flatten(1).sum(1), (a | b).flatten(1).sum(1)
    return round(float((both / either.clamp(min=1)).mean()), 4)


def _plane(colour: tuple[float, float, float]) -> Tensor:
    return torch.tensor(colour)[None, :, None, None]


def _lab(colour: tuple[float, float, float]) -> Tensor:
    return to_lab(torch.tensor([colour]))
