"""What the report says about sizes, kinds, near duplicates and odd ones out."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from lowshotgan.data import similarity
from lowshotgan.data.images import to_pil
from lowshotgan.data.inspect import inspect_images
from lowshotgan.data.preprocess import Preprocess
from lowshotgan.data.similarity import near_duplicates, odd_ones_out
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ImageInputError


def stacked(pictures, resolution=64):
    return torch.stack([Preprocess(resolution)(picture) for picture in pictures])


def recompressed(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


EDITS = {
    "copy": lambda picture: picture.copy(),
    "compressed": recompressed,
    "smaller": lambda picture: picture.resize((40, 40)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.04),
    "noise": lambda picture: Image.fromarray(
        (np.asarray(picture) + np.random.default_rng(0).normal(0, 8, (*picture.size, 3))).clip(0, 255).astype(np.uint8)
    ),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("style", ["flat", "line"])
def test_edited_copies_are_found_and_nothing_else(edit, style):
    pictures = to_pil(faces(20, resolution=64, style=style))
    assert near_duplicates(stacked([*pictures, EDITS[edit](pictures[7])])) == [(7, 20)]


def test_mirrored_and_recoloured_images_are_no_duplicates():
    picture = to_pil(faces(1, resolution=64))[0]
    red, green, blue = picture.split()
    assert near_duplicates(stacked([picture, Image.merge("RGB", (blue, green, red))])) == []
    wide = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1)))
    assert near_duplicates(stacked([wide, wide.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])) == []


def test_large_sets_compare_equal_hashes_only(monkeypatch):
    monkeypatch.setattr(similarity, "LARGEST_COMPARED", 10)
    pictures = to_pil(faces(20, resolution=64))
    assert near_duplicates(stacked([*pictures, pictures[2]])) == [(2, 20)]


def test_the_number_of_pairs_is_bounded(monkeypatch):
    monkeypatch.setattr(similarity, "MOST_PAIRS", 25)
    assert len(near_duplicates(torch.zeros(40, 3, 8, 8, dtype=torch.uint8))) == 25


def test_odd_ones_out():
    usual = faces(20, resolution=32)
    assert odd_ones_out(usual) == []
    noise = torch.randint(256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    blank = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    assert odd_ones_out(torch.cat([usual, noise[None], blank[None]])) == [
        (20, "looks unlike the others"),
        (21, "nearly one colour"),
    ]


def test_a_pure_colour_is_nearly_one_colour():
    red = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)
    assert odd_ones_out(red[None]) == [(0, "nearly one colour")]


def test_report_counts_every_awkward_kind(mixed):
    report = inspect_images(mixed, resolution=32)
    assert report.count == 13
    assert report.sizes["48x48"] == 10
    assert report.sizes["30x40"] == 1
    assert report.modes["CMYK"] == 1
    text = "\n".join(report.actions)
    for expected in (
        "1 rotated as their EXIF",
        "3 animated or with several pages",
        "1 with more than 8 bits",
        "1 with transparency: placed on the background (255, 255, 255)",
        "3 not square: the centre is cut out",
        "3 smaller than 32 px: enlarged",
        "10 reduced to 32 px",
    ):
        assert expected in text
    assert ("wide.bmp", "3.0 times as long as wide") in report.outliers
    assert ("tiny.png", "only 3 x 2 px") in report.outliers


def test_report_names_the_other_choices(mixed):
    text = inspect_images(mixed, resolution=32, fit="pad", enlarge=False, background=(0, 0, 0)).summary()
    assert "not square: padded with the background (0, 0, 0)" in text
    assert "1 smaller than 32 px: centred on the background (0, 0, 0)" in text


def test_summary_is_short_and_the_dictionary_is_json(folder, drawings):
    drawings[0].save(folder / "again.jpg", quality=90)
    (folder / "photo.heic").write_bytes(b"....ftypheic")
    report = inspect_images(folder)
    summary = report.summary()
    assert len(summary.splitlines()) < 10
    assert "11 images" in summary
    assert "1 near duplicate pairs: a/00.png = again.jpg" in summary
    assert "skipped" in summary
    assert "convert .heic files to PNG or JPEG" in summary
    assert json.loads(json.dumps(report.to_dict()))["near_duplicates"] == [["a/00.png", "again.jpg"]]


def test_unreadable_files_are_listed_not_raised(folder):
    (folder / "a" / "00.png").write_bytes(b"")
    report = inspect_images(folder)
    assert [name for name, _ in report.unreadable] == ["a/00.png"]
    assert "UNREADABLE" in report.summary()
    assert report.looked_at == 10


def test_a_folder_where_nothing_can_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert len(inspect_images(tmp_path).unreadable) == 1


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(ImageInputError, match="empty"):
        inspect_images(tmp_path)
