"""Colours as users write them, CIEDE2000 against published pairs, and drawings whose truth is known."""

import pytest
import torch

from lowshotgan.data.colours import ciede2000, parse_colour, to_lab
from lowshotgan.data.shapes import COLOURS, HAIR, SHAPES, coloured_shapes, painted_heads
from lowshotgan.errors import ConfigError

SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def test_differences_are_the_published_ones():
    first, second = (torch.tensor([pair[i] for pair in SHARMA]) for i in (0, 1))
    expected = torch.tensor([pair[2] for pair in SHARMA], dtype=torch.float64)
    torch.testing.assert_close(ciede2000(first, second), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(ciede2000(second, first), expected, atol=1e-4, rtol=0)


def test_white_black_and_red_in_lab():
    lab = to_lab(torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0]]))
    expected = torch.tensor([[100.0, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]])
    torch.testing.assert_close(lab, expected, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "colour", ["red", "#12", (1, 2), (0.5, 0.5, 2.0), (1, 0.5, 0), (-1, 0, 0), (True, 0, 0), None]
)
def test_other_spellings_are_refused(colour):
    with pytest.raises(ConfigError, match="color"):
        parse_colour(colour)


def test_shapes_have_their_colour_and_do_not_depend_on_their_number():
    for shape in SHAPES:
        drawn = coloured_shapes(shape, "red", 2, resolution=16, seed=1)
        assert drawn.shape == (2, 3, 16, 16)
        assert torch.equal(drawn[:1], coloured_shapes(shape, "red", 1, resolution=16, seed=1))
        assert int((drawn[:, 0].float() - drawn[:, 1].float() > 80).sum()) > 15
    assert len(COLOURS) * len(SHAPES) == 48


def test_heads_know_the_colour_of_their_hair():
    heads = painted_heads(6, resolution=32)
    unit = heads.images.float() / 255
    for image, mask, colour, label in zip(unit, heads.masks, heads.colours, heads.labels, strict=True):
        assert 0.02 < float(mask.mean()) < 0.6
        torch.testing.assert_close((image * mask).sum((1, 2)) / mask.sum(), colour)
        assert (colour - torch.tensor(HAIR[label])).abs().max() < 0.12
