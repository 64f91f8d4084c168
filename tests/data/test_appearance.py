"""Known appearance maps: what they make of simple pictures, and pairs written with them."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from lowshotgan.data.appearance import GLOW, GROUND, INK, NIGHT, PAPER, PRINT, STYLES, apply_appearance
from lowshotgan.data.pairs import load_pairs
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError


def halves():
    """Black on the left, white on the right."""
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    images[..., 8:] = 255
    return images


def near(pixel, colour):
    return (pixel.float() / 255 - torch.tensor(colour)).abs().max() < 0.02


@pytest.mark.parametrize(("style", "ground", "stroke"), [("line", PAPER, INK), ("neon", NIGHT, GLOW)])
def test_a_step_becomes_a_line(style, ground, stroke):
    drawn = apply_appearance(halves(), style)
    assert near(drawn[0, :, 5, 7], stroke) and near(drawn[0, :, 5, 8], stroke)
    assert near(drawn[0, :, 5, 1], ground) and near(drawn[0, :, 5, 14], ground)


def test_recolour_by_hand():
    images = torch.tensor([10, 100, 250], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 8, 8)
    assert apply_appearance(images, "recolour")[0, :, 0, 0].tolist() == [155, 5, 245]


def test_duotone_by_hand():
    drawn = apply_appearance(halves(), "duotone")
    assert near(drawn[0, :, 5, 1], GROUND) and near(drawn[0, :, 5, 14], PRINT)


@pytest.mark.parametrize("style", STYLES)
def test_an_image_depends_on_itself_alone(style):
    images = faces(3, resolution=32)
    assert torch.equal(apply_appearance(images, style)[1:2], apply_appearance(images[1:2], style))


def test_unusable_arguments_are_refused():
    with pytest.raises(ConfigError, match="style"):
        apply_appearance(halves(), "oil")
    with pytest.raises(ConfigError, match="B, 3, H, W"):
        apply_appearance(halves()[0], "line")


def test_the_example_writes_pairs_that_can_be_read(tmp_path):
    path = Path(__file__).parents[2] / "examples" / "draw_pairs.py"
    spec = spec_from_file_location("draw_pairs", path)
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    images = faces(6, resolution=32)
    script.write_pairs(images, "line", tmp_path)
    found = load_pairs(tmp_path, resolution=32)
    assert torch.equal(found.rows["source"], images)
    assert torch.equal(found.rows["target"], apply_appearance(images, "line"))
