"""Drawn domains are reproducible, paired across styles and varied."""

import pytest
import torch

from lowshotgan.data.similarity import near_duplicates
from lowshotgan.data.synthetic import STYLES, faces
from lowshotgan.errors import ConfigError


@pytest.mark.parametrize("style", sorted(STYLES))
def test_shape_type_and_repeatability(style):
    drawn = faces(3, resolution=16, style=style, seed=5)
    assert drawn.shape == (3, 3, 16, 16)
    assert drawn.dtype == torch.uint8
    assert torch.equal(drawn, faces(3, resolution=16, style=style, seed=5))
    assert not torch.equal(drawn, faces(3, resolution=16, style=style, seed=6))


def test_a_shorter_draw_is_the_start_of_a_longer_one():
    assert torch.equal(faces(6)[:2], faces(2))


def first_drawn_row(images):
    """Row of each image that is the first to differ clearly from its top left corner."""
    different = (images.int() - images[:, :, :1, :1].int()).abs().amax(dim=1) > 60  # (N, H, W)
    return different.any(dim=2).int().argmax(dim=1)


def test_styles_share_their_content():
    flat = faces(24, style="flat")
    assert (faces(24, style="inverted").int() - (255 - flat.int())).abs().max() <= 1
    for style in ("line", "neon"):
        assert (first_drawn_row(faces(24, style=style)) - first_drawn_row(flat)).abs().max() <= 2


def test_faces_differ_from_each_other():
    assert near_duplicates(faces(24, resolution=64)) == []


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 2, "resolution": 4}, {"n": 2, "style": "oil"}])
def test_bad_arguments(options):
    with pytest.raises(ConfigError):
        faces(**options)
