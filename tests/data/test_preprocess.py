"""Any PIL image becomes a (3, R, R) uint8 tensor, and the well-defined cases have the values worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lowshotgan.data.preprocess import TURNS, Preprocess, to_rgb, upright
from lowshotgan.errors import ConfigError, ImageInputError

MODES = (
    ["1", "L", "P", "PA", "LA", "La", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"]
    + ["I", "F", "I;16", "I;16L", "I;16B"]
)  # fmt: skip


def picture(mode, width, height, seed):
    """Random bytes read as an image of any mode."""
    plain = Image.new(mode, (width, height))
    noise = np.random.default_rng(seed)
    if mode == "F":
        return Image.fromarray(noise.normal(0, 100, (height, width)).astype(np.float32))
    if mode == "P":
        plain.putpalette(noise.bytes(768))
    plain.frombytes(noise.bytes(len(plain.tobytes())))
    return plain


@settings(max_examples=100, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    resolution=st.integers(1, 48),
    fit=st.sampled_from(["crop", "pad"]),
    enlarge=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_mode_and_size_gives_a_square_rgb_tensor(mode, width, height, resolution, fit, enlarge, seed):
    prepared = Preprocess(resolution, fit=fit, enlarge=enlarge)(picture(mode, width, height, seed))
    assert prepared.shape == (3, resolution, resolution)
    assert prepared.dtype == torch.uint8
    assert prepared.is_contiguous()


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    resolution=st.integers(1, 64),
    fit=st.sampled_from(["crop", "pad"]),
    level=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_one_colour_stays_that_colour(width, height, resolution, fit, level):
    plain = Image.new("RGB", (width, height), level)
    prepared = Preprocess(resolution, fit=fit, background=level)(plain)
    assert torch.equal(prepared, torch.tensor(level, dtype=torch.uint8)[:, None, None].expand_as(prepared))


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 40), mode=st.sampled_from(["RGB", "L", "RGBA"]), fit=st.sampled_from(["crop", "pad"]))
def test_an_image_of_the_right_size_keeps_its_values(size, mode, fit):
    original = picture(mode, size, size, seed=size)
    original.putalpha(255) if mode == "RGBA" else None
    prepared = Preprocess(size, fit=fit)(original)
    assert np.array_equal(prepared.permute(1, 2, 0).numpy(), np.asarray(original.convert("RGB")))


def test_sixteen_bits_use_the_full_range():
    values = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    assert list(to_rgb(Image.fromarray(values)).convert("L").tobytes()) == [0, 100, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 100, 255], [0, 100, 255]),
        ([0, 25700, 65535], [0, 100, 255]),
        ([-100, 0, 100], [0, 128, 255]),
        ([0, 100000, 200000], [0, 128, 255]),
    ],
)
def test_32_bit_integers_use_the_range_they_need(values, expected):
    image = Image.fromarray(np.array([values], dtype=np.int32))
    assert list(to_rgb(image).convert("L").tobytes()) == expected


@pytest.mark.parametrize(
    ("values", "expected"), [([0.0, 0.5, 1.0], [0, 128, 255]), ([0.0, 51.0, 255.0], [0, 51, 255])]
)
def test_floats_use_the_range_they_need(values, expected):
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert list(to_rgb(image).convert("L").tobytes()) == expected


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ImageInputError, match="NaN or infinite"):
        to_rgb(Image.fromarray(np.array([[0.0, bad]], dtype=np.float32)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_fully_transparent_becomes_the_background(mode):
    image = Image.new(mode, (4, 4))
    assert to_rgb(image, background=(10, 200, 30)).getpixel((1, 1)) == (10, 200, 30)


def test_half_transparent_is_mixed():
    image = Image.new("RGBA", (2, 2), (255, 0, 0, 51))  # a fifth
    assert to_rgb(image, background=(0, 0, 255)).getpixel((0, 0)) == (51, 0, 204)


def test_transparent_palette_and_grey_use_the_background():
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((1, 0), 1)
    palette.info["transparency"] = 0
    assert list(to_rgb(palette, background=(1, 2, 3)).get_flattened_data()) == [(1, 2, 3), (255, 0, 0)]
    grey = Image.new("L", (1, 1), 7)
    grey.info["transparency"] = 7
    assert to_rgb(grey, background=(1, 2, 3)).getpixel((0, 0)) == (1, 2, 3)


def test_transparency_is_removed_before_resizing():
    """Hidden colours under transparent pixels must not bleed into the edge."""
    image = Image.new("RGBA", (64, 64), (0, 255, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 32, 64))
    assert int(Preprocess(16)(image).min()) >= 254


def test_crop_takes_the_centre_and_pad_keeps_everything():
    wide = Image.new("RGB", (60, 20), "red")
    wide.paste("blue", (20, 0, 40, 20))
    cropped = Preprocess(20)(wide)
    assert torch.equal(cropped, torch.tensor([0, 0, 255], dtype=torch.uint8)[:, None, None].expand(3, 20, 20))
    padded = Preprocess(60, fit="pad", background=(9, 9, 9))(wide)
    assert padded[:, 19, 30].tolist() == [9, 9, 9]
    assert padded[:, 30, 30].tolist() == [0, 0, 255]
    assert padded[:, 30, 0].tolist() == [255, 0, 0]


def test_without_enlarging_a_small_image_is_centred():
    small = picture("L", 28, 28, seed=0)
    for fit in ("crop", "pad"):
        prepared = Preprocess(32, fit=fit, background=(0, 0, 0), enlarge=False)(small)
        assert np.array_equal(prepared[0, 2:30, 2:30].numpy(), np.asarray(small))
        assert int(prepared.sum()) == 3 * int(np.asarray(small, dtype=np.int64).sum())


def test_enlarging_is_the_default():
    assert int(Preprocess(32, background=(255, 255, 255))(Image.new("RGB", (8, 8), "black")).max()) == 0


def test_reducing_is_antialiased():
    """A one-pixel chequerboard has no structure left at a quarter of the size."""
    board = np.indices((128, 128)).sum(axis=0) % 2 * 255
    reduced = Preprocess(32)(Image.fromarray(board.astype(np.uint8)))
    assert int(reduced.min()) > 110
    assert int(reduced.max()) < 145


@pytest.mark.parametrize("orientation", sorted(TURNS))
def test_exif_turns_once(orientation):
    upright_picture = picture("RGB", 6, 4, seed=1)
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)  # the turn that undoes it
    stored = upright_picture.transpose(TURNS[back])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.info["exif"] = exif.tobytes()
    turned, changed = upright(stored)
    assert changed
    assert np.array_equal(np.asarray(turned), np.asarray(upright_picture))
    again, changed = upright(turned)
    assert not changed
    assert again is turned


def test_damaged_exif_is_ignored():
    image = picture("RGB", 6, 4, seed=1)
    image.info["exif"] = b"Exif\x00\x00II*\x00\xff\xff\xff\xff"
    assert upright(image) == (image, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 0}, "resolution"),
        ({"resolution": 64.0}, "resolution"),
        ({"resolution": True}, "resolution"),
        ({"resolution": 10_000}, "resolution"),
        ({"resolution": 8, "fit": "strech"}, "fit"),
        ({"resolution": 8, "background": (0, 0)}, "background"),
        ({"resolution": 8, "background": "white"}, "background"),
        ({"resolution": 8, "background": (0, 0, 256)}, "background"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Preprocess(**options)


def test_settings_round_trip_through_a_dictionary():
    settings_ = Preprocess(32, fit="pad", background=[1, 2, 3], enlarge=False)
    assert Preprocess(**settings_.to_dict()) == settings_
    assert settings_.to_dict()["background"] == [1, 2, 3]


def test_a_width_makes_the_result_oblong():
    image = Image.new("RGB", (90, 30), (255, 0, 0))
    image.paste((0, 0, 255), (15, 0, 75, 30))
    cropped = Preprocess(10, width=20)(image)
    assert cropped.shape == (3, 10, 20) and int(cropped[2].min()) > 200 and int(cropped[0].max()) < 50
    padded = Preprocess(10, width=20, fit="pad", background=(0, 255, 0))(image)
    filled = (padded[1] > 200).all(dim=1)
    assert padded.shape == (3, 10, 20) and 2 <= int(filled.sum()) <= 4 and bool(filled[0]) and bool(filled[-1])
    assert Preprocess(10, width=20).box((30, 90)) == (0, 37, 30, 52)
    assert Preprocess(**Preprocess(10, width=20).to_dict()) == Preprocess(10, width=20)
    with pytest.raises(ConfigError, match="width"):
        Preprocess(10, width=0)


def test_one_channel_is_the_luminance():
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    assert torch.equal(Preprocess(4, channels=1)(red), torch.full((1, 4, 4), 76, dtype=torch.uint8))
    assert Preprocess(4, channels=1).to_dict()["channels"] == 1 and "channels" not in Preprocess(4).to_dict()
