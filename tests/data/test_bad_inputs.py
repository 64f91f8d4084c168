"""Every unusable input ends in one error that names the culprit and the remedy, and writes nothing."""

import gzip
import io
import os
import stat
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import IterableDataset

from lowshotgan.data import decode, files
from lowshotgan.data.dataset import load_images
from lowshotgan.errors import ImageInputError


def png_bytes(size=16):
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg_bytes(size=64):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png_bytes(size))).save(buffer, "JPEG")
    return buffer.getvalue()


def huge_png():
    """A few bytes that claim 60,000 x 60,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def with_file(name, data):
    """A folder with one good image and one file with the given content."""

    def make(root):
        (root / "good.png").write_bytes(png_bytes())
        (root / name).write_bytes(data)
        return root

    return make


def only_file(name, data=b""):
    def make(root):
        (root / name).write_bytes(data)
        return root / name

    return make


def only_folder_with(**contents):
    """A folder with the given files; ``__`` in a name stands for a dot."""

    def make(root):
        for name, data in contents.items():
            (root / name.replace("__", ".")).write_bytes(data)
        return root

    return make


def zipped(*members, spoil=lambda data: data, compression=zipfile.ZIP_STORED):
    """A zip with the given (name, content) members, then passed through ``spoil``."""

    def make(root):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            for name, data in members:
                archive.writestr(name, data)
        (root / "pack.zip").write_bytes(spoil(buffer.getvalue()))
        return root / "pack.zip"

    return make


def encrypted(data):
    """Set the encryption flag in both headers of a zip with one member."""
    spoiled = bytearray(data)
    spoiled[6] |= 1
    spoiled[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(spoiled)


def odd_method(data):
    """Claim compression method 97 in both headers of a zip with one member."""
    spoiled = bytearray(data)
    spoiled[8] = 97
    spoiled[data.index(b"PK\x01\x02") + 10] = 97
    return bytes(spoiled)


def broken_content(data):
    """Damage the content of the last member; its checksum then differs."""
    spoiled = bytearray(data)
    spoiled[data.index(b"PK\x01\x02") - 40] ^= 0xFF
    return bytes(spoiled)


def linked(name, target):
    def make(root):
        (root / "good.png").write_bytes(png_bytes())
        os.symlink(target, root / name)
        return root

    return make


def link_in_zip(root):
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(root / "pack.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return root / "pack.zip"


def loop(root):
    (root / "inner").mkdir()
    (root / "inner" / "outer").symlink_to(root)
    return root


def fifo(root):
    os.mkfifo(root / "pipe.png")
    return root


def folder_like_an_image(root):
    (root / "photo.png").mkdir()
    return root


def idx(images=b"", labels=None):
    def make(root):
        (root / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        if labels is not None:
            (root / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
        return root

    return make


def cut_gzip(root):
    header = struct.pack(">IIII", 0x803, 50, 10, 10)
    whole = gzip.compress(header + np.random.default_rng(0).bytes(5000))
    (root / "train-images-idx3-ubyte.gz").write_bytes(whole[: len(whole) // 2])
    return root


IDX = struct.pack(">IIII", 0x803, 2, 3, 3) + bytes(18)
LABELS = struct.pack(">II", 0x801, 2) + bytes([0, 1])
IMAGE = ("a.png", png_bytes())
TRUNCATED = jpeg_bytes()[:700]

CASES = {
    # name: (make the input, options, what the message must hold)
    "zero bytes": (with_file("none.jpg", b""), {}, ["none.jpg", "0 bytes", "again"]),
    "truncated jpeg": (with_file("cut.jpg", TRUNCATED), {}, ["cut.jpg", "truncated", "again"]),
    "truncated png": (with_file("cut.png", png_bytes()[:400]), {}, ["cut.png", "truncated"]),
    "text called png": (with_file("text.png", b"hello there"), {}, ["text.png", "not an image", "convert"]),
    "web page called jpg": (
        with_file("page.jpg", b"<!DOCTYPE html><html>"),
        {},
        ["page.jpg", "download it again"],
    ),
    "lfs pointer": (
        with_file("big.png", b"version https://git-lfs.github.com/spec/v1\n"),
        {},
        ["big.png", "git lfs pull"],
    ),
    "svg called png": (with_file("logo.png", b"<svg xmlns='x'/>"), {}, ["logo.png", "export it as PNG"]),
    "heic called jpg": (
        with_file("phone.jpg", b"\0\0\0\x18ftypheic\0\0\0\0"),
        {},
        ["phone.jpg", "HEIC", "convert"],
    ),
    "zip called png": (with_file("pack.png", b"PK\x03\x04" + bytes(30)), {}, ["pack.png", "zip archive"]),
    "postscript called png": (
        with_file("page.png", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        {},
        ["page.png", "export"],
    ),
    "png with a damaged header": (with_file("bad.png", b"\x89PNG\r\n\x1a\n" + bytes(40)), {}, ["bad.png"]),
    "decompression bomb": (with_file("huge.png", huge_png()), {}, ["huge.png", "too large", "Shrink"]),
    "empty folder": (lambda root: root, {}, ["is empty", "at least one image"]),
    "only text files": (
        only_folder_with(a__txt=b"a", b__txt=b"b"),
        {},
        ["no image", "2 x .txt", "Pass a folder"],
    ),
    "only videos": (only_folder_with(a__mp4=b"a"), {}, ["1 x .mp4", "Cut frames"]),
    "only raw photographs": (only_folder_with(a__CR2=b"a", b__heic=b"b"), {}, ["1 x .cr2", "Convert"]),
    "only archives": (only_folder_with(a__zip=b"a"), {}, ["1 x .zip", "Unpack"]),
    "only hidden files": (only_folder_with(__DS_Store=b"a"), {}, ["1 x hidden"]),
    "missing path": (lambda root: root / "nowhere", {}, ["nowhere", "does not exist", "check the path"]),
    "missing file in a list": (lambda root: [root / "gone.png"], {}, ["gone.png", "does not exist"]),
    "folder in a list": (lambda root: [root], {}, ["entry 0", "pass the folder by itself"]),
    "text file": (only_file("list.txt", b"a\nb"), {}, ["list.txt", "not an image"]),
    "video file": (only_file("film.mp4"), {}, ["film.mp4", "cut frames"]),
    "tar file": (only_file("pack.tar"), {}, ["pack.tar", "make a zip"]),
    "web address": (lambda root: "https://example.org/a.png", {}, ["example.org", "download it first"]),
    "empty text": (lambda root: "", {}, ["''", "pass a folder"]),
    "broken link": (linked("lost.png", "nowhere"), {}, ["lost.png", "link that leads nowhere"]),
    "link to itself": (linked("self.png", "self.png"), {}, ["self.png"]),
    "nothing but a loop of folders": (loop, {}, ["is empty"]),
    "named pipe": (fifo, {}, ["pipe.png", "not a regular file"]),
    "folder called photo.png": (folder_like_an_image, {}, ["is empty"]),
    "k is 0": (with_file("b.png", png_bytes()), {"k": 0}, ["k must be", "0", "leave it out"]),
    "k below 0": (with_file("b.png", png_bytes()), {"k": -3}, ["-3"]),
    "k is no number": (with_file("b.png", png_bytes()), {"k": "ten"}, ["'ten'"]),
    "k above the number": (with_file("b.png", png_bytes()), {"k": 11}, ["k=11", "only 2 images", "lower k"]),
    "include matches nothing": (
        with_file("b.png", png_bytes()),
        {"include": ["godo.png"]},
        ["'godo.png'", "Did you mean 'good.png'"],
    ),
    "exclude leaves nothing": (
        with_file("b.png", png_bytes()),
        {"exclude": ["*"]},
        ["exclude", "name fewer"],
    ),
    "zip with a path outside": (
        zipped(IMAGE, ("../evil.png", png_bytes())),
        {},
        ["../evil.png", "outside", "Make a new zip"],
    ),
    "zip with an absolute path": (zipped(("/etc/a.png", png_bytes())), {}, ["/etc/a.png", "outside"]),
    "zip with a backslash path": (zipped(("x\\..\\..\\a.png", png_bytes())), {}, ["outside"]),
    "zip with a drive": (zipped(("C:/a.png", png_bytes())), {}, ["C:/a.png", "outside"]),
    "zip bomb": (
        zipped(("flat.bmp", bytes(20 * 2**20)), compression=zipfile.ZIP_DEFLATED),
        {},
        ["flat.bmp", "zip bomb", "remove it"],
    ),
    "huge image in a zip": (zipped(("huge.png", huge_png())), {}, ["huge.png", "too large"]),
    "encrypted zip": (zipped(IMAGE, spoil=encrypted), {}, ["a.png", "encrypted", "without a password"]),
    "unknown compression": (zipped(IMAGE, spoil=odd_method), {}, ["a.png", "method 97", "plain zip"]),
    "damaged member": (zipped(IMAGE, spoil=broken_content), {}, ["a.png", "pack.zip", "damaged"]),
    "truncated zip": (
        zipped(IMAGE, spoil=lambda data: data[:300]),
        {},
        ["pack.zip", "not a readable zip", "again"],
    ),
    "empty zip": (zipped(), {}, ["pack.zip", "is empty"]),
    "zip of zips": (zipped(("inner.zip", b"PK")), {}, ["1 x .zip", "Unpack"]),
    "zip with only a link": (link_in_zip, {}, ["pack.zip"]),
    "truncated image in a zip": (zipped(("cut.jpg", TRUNCATED)), {}, ["cut.jpg", "pack.zip", "truncated"]),
    "idx of another kind": (idx(b"\0\0\x0d\x03" + bytes(40)), {}, ["not an idx file", "again"]),
    "idx cut short": (idx(IDX[:-4]), {}, ["truncated (14 of 18 bytes)"]),
    "idx with a damaged gzip": (cut_gzip, {}, ["damaged or truncated"]),
    "idx with a bomb's shape": (
        idx(struct.pack(">IIII", 0x803, 2**31, 2**10, 2**10)),
        {},
        ["claims the shape"],
    ),
    "idx whose size overflows": (idx(struct.pack(">IIII", 0x803, 2**31, 2**31, 4)), {}, ["claims the shape"]),
    "idx without images": (idx(struct.pack(">IIII", 0x803, 0, 3, 3)), {}, ["claims the shape"]),
    "idx classes without labels": (idx(IDX), {"classes": [1]}, ["train-labels-idx1-ubyte", "add that file"]),
    "idx class that does not occur": (idx(IDX, LABELS), {"classes": [7]}, ["class 7", "0, 1"]),
    "idx with too few labels": (
        idx(IDX, LABELS[:4] + struct.pack(">I", 1) + b"\0"),
        {"classes": [0]},
        ["1 labels for 2 images"],
    ),
    "idx split that is not there": (idx(IDX), {"split": "test"}, ["test part", "only train"]),
    "empty list": (lambda root: [], {}, ["list of images is empty"]),
    "empty tensor": (lambda root: torch.zeros(0, 3, 8, 8), {}, ["empty"]),
    "tensor of the wrong shape": (lambda root: torch.zeros(4, 4), {}, ["(4, 4)", "(N, C, H, W)"]),
    "tensor with seven channels": (lambda root: torch.zeros(2, 7, 8, 8), {}, ["image 0", "1 to 4 channels"]),
    "tensor normalised otherwise": (
        lambda root: torch.linspace(-2, 2, 192).view(1, 3, 8, 8),
        {},
        ["[0, 1]", "normalisation"],
    ),
    "tensor with NaN": (lambda root: torch.full((1, 3, 8, 8), torch.nan), {}, ["nan", "image 0"]),
    "tensor of whole numbers": (
        lambda root: torch.zeros(1, 3, 8, 8, dtype=torch.int64),
        {},
        ["int64", "uint8"],
    ),
    "tensor of 16 bits": (
        lambda root: torch.zeros(1, 3, 8, 8, dtype=torch.uint16),
        {},
        ["uint16", "uint8"],
    ),
    "array of texts": (
        lambda root: [np.array([["a", "b"]])],
        {},
        ["<U1", "uint8"],
    ),
    "number": (lambda root: 7, {}, ["int", "pass a folder"]),
    "nothing": (lambda root: None, {}, ["NoneType", "pass a folder"]),
    "dictionary": (lambda root: {"a": 1}, {}, ["dict", "pass a folder"]),
    "list of numbers": (lambda root: [1, 2], {}, ["int", "not an image"]),
    "float image with NaN": (
        lambda root: [Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32))],
        {},
        ["image 0", "NaN"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_clear_error_and_nothing_written(case, tmp_path, monkeypatch):
    make, options, expected = CASES[case]
    root = tmp_path / "input"
    root.mkdir()
    images = make(root)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageInputError) as caught:
        load_images(images, resolution=16, **options)
    assert [part for part in expected if part not in str(caught.value)] == []
    assert sorted(tmp_path.rglob("*")) == before


class Stream(IterableDataset):
    def __iter__(self):
        return iter([torch.zeros(3, 8, 8)])


class Broken:
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise RuntimeError("disk on fire")


class Columns:
    def __init__(self, names, features=None):
        self.column_names, self.features = names, features or {}

    def __len__(self):
        return 0

    def __getitem__(self, index):
        raise IndexError(index)


@pytest.mark.parametrize(
    ("dataset", "options", "expected"),
    [
        (Stream(), {}, ["Stream", "without length", "islice"]),
        (Broken(), {}, ["item 0 of Broken", "disk on fire"]),
        (torch.utils.data.TensorDataset(torch.zeros(0, 3, 8, 8)), {}, ["TensorDataset is empty"]),
        (Columns({"train": ["image"], "test": ["image"]}), {}, ["splits train, test", "dataset['train']"]),
        (Columns(["text", "label"]), {}, ["text, label", "column="]),
        (Columns(["image"]), {"column": "photo"}, ["no column 'photo'", "image"]),
        (Columns(["image"]), {}, ["empty"]),
        ([{"x": 1}], {}, ["entry 0", "keys x", "column="]),
        ([{"image": None}], {}, ["NoneType"]),
    ],
)
def test_datasets_that_cannot_be_used(dataset, options, expected):
    with pytest.raises(ImageInputError) as caught:
        load_images(dataset, resolution=16, **options)
    assert [part for part in expected if part not in str(caught.value)] == []


def test_a_large_picture_is_refused_whatever_pillow_was_told(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (tmp_path / "large.png").write_bytes(png_bytes(16))
    with pytest.raises(ImageInputError, match=r"large\.png is too large.*16 x 16"):
        load_images(tmp_path, resolution=8)


def test_a_large_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "MAX_FILE_BYTES", 100)
    (tmp_path / "large.png").write_bytes(png_bytes(16))
    with pytest.raises(ImageInputError, match=r"large\.png has"):
        load_images(tmp_path, resolution=8)


def test_a_large_member_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 100)
    with pytest.raises(ImageInputError, match=r"a\.png in .*zip bomb"):
        load_images(zipped(IMAGE)(tmp_path), resolution=8)


def test_bomb_between_pillows_warning_and_error(tmp_path, monkeypatch):
    """Pillow only warns here; the library refuses, also where warnings are not errors."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    monkeypatch.setattr(decode, "MAX_PIXELS", 200)
    (tmp_path / "large.png").write_bytes(png_bytes(16))
    for action in ("error", "ignore"):
        with warnings.catch_warnings():
            warnings.simplefilter(action)
            with pytest.raises(ImageInputError, match="too large"):
                load_images(tmp_path, resolution=8)


@pytest.mark.parametrize("position", range(8, 330, 23))
def test_damage_anywhere_in_a_png_is_an_image_or_a_named_error(tmp_path, position):
    spoiled = bytearray(png_bytes(10))
    spoiled[position] ^= 0x55
    (tmp_path / "spoiled.png").write_bytes(bytes(spoiled))
    try:
        shape = load_images(tmp_path, resolution=8).uint8().shape
    except ImageInputError as error:
        message = str(error)
    else:
        message = f"spoiled.png is still readable: {shape}"
    assert "spoiled.png" in message
