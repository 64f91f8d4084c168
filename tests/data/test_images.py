"""Conversions between floats, uint8 and PIL, and contact sheets."""

import numpy as np
import pytest
import torch

from lowshotgan.data.images import from_uint8, image_grid, to_pil, to_uint8
from lowshotgan.errors import ConfigError


def test_every_level_survives_the_round_trip():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(levels)), levels)


def test_ends_of_the_range_and_halves():
    assert from_uint8(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
    half = 0.5 / 127.5  # exactly between the levels 127.5 - 0.5 + 0.5 = 128 after rounding half up
    assert to_uint8(torch.tensor([0.0, half, -half])).tolist() == [128, 128, 127]


def test_values_outside_are_clamped_and_nan_is_black():
    values = torch.tensor([-7.0, 7.0, float("nan"), float("inf"), float("-inf")])
    assert to_uint8(values).tolist() == [0, 255, 0, 255, 0]


def test_half_precision_is_converted_in_float32():
    exact = from_uint8(torch.tensor([3, 200], dtype=torch.uint8))
    assert (to_uint8(exact.bfloat16()).int() - torch.tensor([3, 200])).abs().max() <= 1


def test_from_uint8_refuses_floats():
    with pytest.raises(ConfigError, match="uint8"):
        from_uint8(torch.zeros(3, 4, 4))


def test_to_pil_keeps_channels_and_pixels():
    images = torch.randint(256, (2, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for source in (images, from_uint8(images)):
        pictures = to_pil(source)
        assert [picture.size for picture in pictures] == [(5, 4), (5, 4)]
        assert np.array_equal(np.asarray(pictures[1]), images[1].permute(1, 2, 0).numpy())
    assert len(to_pil(images[0])) == 1


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4), (2, 4, 4, 4), (1, 2, 3, 4, 4)])
def test_to_pil_refuses_other_shapes(shape):
    with pytest.raises(ConfigError, match="must be"):
        to_pil(torch.zeros(shape))


def test_one_channel_becomes_grey_pictures():
    images = torch.tensor([0, 128, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 1, 4, 5)
    pictures = to_pil(images)
    assert [(one.mode, one.size, one.getpixel((0, 0))) for one in pictures] == [
        ("L", (5, 4), n) for n in (0, 128, 255)
    ]
    assert image_grid(images, 3, padding=0).getpixel((7, 0)) == (128, 128, 128)


def test_grid_places_images_row_by_row():
    images = torch.stack([torch.full((3, 4, 4), value) for value in (-1.0, -0.5, 0.0, 0.5, 1.0)])
    sheet = image_grid(images, columns=2, padding=1)
    assert sheet.size == (2 * 5 + 1, 3 * 5 + 1)
    levels = [sheet.getpixel((1 + 5 * column, 1 + 5 * row))[0] for row in range(3) for column in range(2)]
    assert levels == [*to_uint8(torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])).tolist(), 255]


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 2), (5, 3), (16, 4)])
def test_grid_is_nearly_square_by_default(count, columns):
    assert image_grid(torch.zeros(count, 3, 2, 2), padding=0).width == columns * 2


def test_grid_refuses_nothing_to_show():
    with pytest.raises(ConfigError, match="no images"):
        image_grid(torch.zeros(0, 3, 4, 4))
    with pytest.raises(ConfigError, match="columns"):
        image_grid(torch.zeros(1, 3, 4, 4), columns=0)
