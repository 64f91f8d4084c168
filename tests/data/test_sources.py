"""Every kind of input is opened with the same images in the same order."""

import copy
import gzip
import os
import pickle
import struct
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

from lowshotgan.data.base import Subset
from lowshotgan.data.idx import IdxSource
from lowshotgan.data.images import from_uint8
from lowshotgan.data.items import decode_item
from lowshotgan.data.sources import open_source
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError

NAMES = [*(f"a/{i:02d}.png" for i in range(6)), *(f"b/deep/{i:02d}.png" for i in range(6, 9)), "09.png"]


def pixels(source):
    return [np.asarray(source.read(index).convert("RGB")) for index in range(len(source))]


def same(first, second):
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def as_zip(folder, path, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def test_folder_is_searched_to_any_depth(folder, drawings):
    source = open_source(folder)
    assert [source.name(i) for i in range(len(source))] == sorted(NAMES)
    by_number = sorted(range(10), key=lambda i: source.name(i)[-6:])
    assert same([pixels(source)[i] for i in by_number], [np.asarray(image) for image in drawings[:10]])
    assert source.skipped == {".csv": 1, ".txt": 1, "hidden": 1}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_zip_equals_the_folder_it_was_made_of(folder, tmp_path, method):
    archive = as_zip(folder, tmp_path / "pictures.ZIP", compression=method)
    before = sorted(tmp_path.rglob("*"))
    source, plain = open_source(str(archive)), open_source(folder)
    assert [source.name(i) for i in range(len(source))] == [plain.name(i) for i in range(len(plain))]
    assert same(pixels(source), pixels(plain))
    assert sorted(tmp_path.rglob("*")) == before, "nothing is unpacked"
    assert same(pixels(copy.deepcopy(source)), pixels(source))


def test_a_zip_of_a_windows_program_has_folders(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
        archive.writestr("pictures\\a\\00.png", (folder / "a" / "00.png").read_bytes())
    source = open_source(tmp_path / "windows.zip")
    assert (source.name(0), source.label(0)) == ("pictures/a/00.png", "a")
    assert same(pixels(source), pixels(open_source(folder / "a" / "00.png")))


def test_names_that_are_no_text_can_be_written_down(tmp_path, drawings):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        drawings[0].save(path)
    except OSError:
        pytest.skip("this file system wants UTF-8")
    for source in (open_source(tmp_path), open_source([path])):
        assert source.name(0).encode("utf-8").endswith(b".png")
        assert same(pixels(source), [np.asarray(drawings[0])])


def test_zip_without_the_usual_ending(folder, tmp_path):
    assert len(open_source(as_zip(folder, tmp_path / "pictures.pack"))) == 10


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include": ["a"]}, NAMES[:6]),
        ({"include": "a"}, NAMES[:6]),
        ({"include": ("b/deep/",)}, NAMES[6:9]),
        ({"include": ["a/00.png", "*9.png"]}, [NAMES[9], NAMES[0]]),
        ({"exclude": ["a", "b"]}, NAMES[9:]),
        ({"include": ["a"], "exclude": ["a/0[1-5].png"]}, NAMES[:1]),
    ],
)
def test_include_and_exclude(folder, tmp_path, options, expected):
    for place in (folder, as_zip(folder, tmp_path / "pictures.zip")):
        source = open_source(place, **options)
        assert [source.name(i) for i in range(len(source))] == expected


def test_links_are_followed_and_loops_end(folder, tmp_path, drawings):
    outside = tmp_path / "outside"
    outside.mkdir()
    drawings[11].save(outside / "11.png")
    (folder / "link").symlink_to(outside)
    (folder / "a" / "loop").symlink_to(folder)
    assert len(open_source(folder)) == 11


def test_a_file_without_ending_is_recognised_by_its_first_bytes(tmp_path, drawings):
    drawings[0].save(tmp_path / "blob", format="PNG")
    (tmp_path / "README").write_text("no image")
    source = open_source(tmp_path)
    assert [source.name(i) for i in range(len(source))] == ["blob"]
    assert source.skipped == {"without ending": 1}


def test_awkward_files_decode(mixed, drawings):
    source = open_source(mixed)
    found = {source.name(i): source.decode(i) for i in range(len(source))}
    assert found["exif.jpg"].rotated
    assert found["exif.jpg"].image.size == (30, 40)
    assert {name for name, item in found.items() if item.animated} == {
        "animated.gif",
        "animated.webp",
        "pages.tiff",
    }
    modes = {name: item.image.mode for name, item in found.items()}
    assert modes["cmyk.jpg"] == "CMYK"
    assert modes["sixteen.png"].startswith("I;16")
    first = np.asarray(found["animated.gif"].image.convert("RGB"), dtype=int)
    assert np.abs(first - np.asarray(drawings[3], dtype=int)).mean() < 3


def test_one_file_one_picture_and_lists(folder, drawings):
    path = folder / "a" / "00.png"
    expected = [np.asarray(drawings[0])]
    for given in (path, str(path), [path], (str(path),), drawings[0], [drawings[0]], iter([path])):
        assert same(pixels(open_source(given)), expected)
    source = open_source([str(path), drawings[1]])
    assert [source.name(0), source.name(1)] == [path.as_posix(), "image 1"]


def test_glob_results_are_accepted(folder):
    assert len(open_source(folder.glob("a/*.png"))) == 6


def test_tensors_and_arrays():
    levels = faces(3, resolution=16)
    expected = list(levels.permute(0, 2, 3, 1).numpy())
    floats = from_uint8(levels)
    for given in (
        levels,
        floats,
        (floats + 1) / 2,
        levels.permute(0, 2, 3, 1).numpy(),
        list(levels),
        floats.numpy().transpose(0, 2, 3, 1),
    ):
        assert same(pixels(open_source(given)), expected)
    assert len(open_source(levels[0])) == 1


@pytest.mark.parametrize(
    ("shape", "dtype", "mode"),
    [((1, 4, 5), torch.uint8, "L"), ((4, 5), torch.uint8, "L"), ((4, 4, 5), torch.uint8, "RGBA"),
     ((2, 4, 5), torch.uint8, "LA"), ((4, 5), torch.bool, "L"), ((4, 5), torch.uint16, "I;16")],
)  # fmt: skip
def test_tensors_of_other_kinds(shape, dtype, mode):
    decoded = decode_item(torch.ones(shape).to(dtype), "it")
    assert decoded.image.mode == mode
    assert decoded.image.size == (5, 4)


class Labelled(Dataset):
    """Map-style dataset; ``form`` makes an item of an image and its number."""

    def __init__(self, images, form):
        self.images, self.form = images, form

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.form(self.images[index], index)


@pytest.mark.parametrize(
    "form",
    [
        lambda image, index: image,
        lambda image, index: (image, index),
        lambda image, index: {"label": index, "image": image},
        lambda image, index: (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255, index),
    ],
)
def test_torch_datasets(drawings, form):
    source = open_source(Labelled(drawings, form))
    assert same(pixels(source), [np.asarray(image) for image in drawings])
    assert source.name(3) == "item 3"
    assert not source.parallel


def test_tensor_dataset_and_named_key(drawings):
    levels = faces(2, resolution=8)
    assert len(open_source(TensorDataset(from_uint8(levels), torch.arange(2)))) == 2
    odd = Labelled(drawings, lambda image, index: {"picture_of_face": image})
    assert len(pixels(open_source(odd, column="picture_of_face"))) == 12


class Rows:
    """The part of a Hugging Face dataset that is used."""

    def __init__(self, columns, features=None, chosen=None):
        self.columns, self.features = columns, features or {}
        self.column_names = chosen or list(columns)

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index):
        return {name: self.columns[name][index] for name in self.column_names}

    def select_columns(self, names):
        return Rows(self.columns, self.features, names)


Image_ = type("Image", (SimpleNamespace,), {})


def test_hugging_face_datasets(drawings, folder):
    expected = [np.asarray(image) for image in drawings[:3]]
    typed = Rows({"y": [0, 1, 2], "portrait": drawings[:3]}, {"portrait": Image_(), "y": object()})
    named = Rows({"y": [0, 1, 2], "img": drawings[:3]})
    chosen = Rows({"image": drawings[3:6], "second": drawings[:3]})
    assert same(pixels(open_source(typed)), expected)
    assert same(pixels(open_source(named)), expected)
    assert same(pixels(open_source(chosen, column="second")), expected)
    raw = [{"bytes": (folder / "a" / f"0{i}.png").read_bytes(), "path": None} for i in range(2)]
    stored = Rows({"image": [*raw, {"bytes": None, "path": str(folder / "a" / "02.png")}]})
    assert same(pixels(open_source(stored)), expected)


@pytest.mark.filterwarnings("default")
def test_datasets_of_the_library_itself(drawings):
    datasets = pytest.importorskip("datasets", reason='pip install "lowshotgan[data]"')
    columns = {"label": [0, 1, 2], "drawing": list(drawings[:3])}
    features = datasets.Features({"label": datasets.Value("int64"), "drawing": datasets.Image()})
    try:
        stored = datasets.Dataset.from_dict(columns, features=features)
    except pickle.PicklingError:
        pytest.skip("this build of the library cannot make any dataset: its hash of a table fails")
    expected = [np.asarray(image) for image in drawings[:3]]
    assert same(pixels(open_source(stored)), expected)
    assert same(pixels(open_source(stored.cast_column("drawing", datasets.Image(decode=False)))), expected)
    assert same(pixels(open_source(stored.select([2, 0]), column="drawing")), [expected[2], expected[0]])


def write_idx(folder, part="train", count=20, side=6, *, zipped=True, separator="-"):
    """Write idx files; image i is filled with i and has the label i % 4."""
    folder.mkdir(exist_ok=True)
    images = np.arange(count, dtype=np.uint8)[:, None, None].repeat(side, 1).repeat(side, 2)
    opener, ending = (gzip.open, ".gz") if zipped else (open, "")
    with opener(folder / f"{part}-images{separator}idx3-ubyte{ending}", "wb") as file:
        file.write(struct.pack(">IIII", 0x803, count, side, side) + images.tobytes())
    with opener(folder / f"{part}-labels{separator}idx1-ubyte{ending}", "wb") as file:
        file.write(struct.pack(">II", 0x801, count) + (np.arange(count) % 4).astype(np.uint8).tobytes())
    return folder


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("separator", ["-", "."])
def test_idx_files(tmp_path, zipped, separator):
    folder = write_idx(tmp_path / "idx", zipped=zipped, separator=separator)
    write_idx(folder, "t10k", count=5, zipped=zipped, separator=separator)
    source = open_source(folder, classes=np.array([1, 3]))
    assert isinstance(source, IdxSource)
    assert [source.name(i) for i in range(3)] == ["train/00001", "train/00003", "train/00005"]
    assert [int(image[0, 0, 0]) for image in pixels(source)] == list(range(1, 20, 2))
    assert len(open_source(folder)) == 20
    assert len(open_source(folder, split="test")) == 5
    assert len(open_source(next(folder.glob("t10k-images*")))) == 5


def test_a_source_is_passed_through(folder):
    source = open_source(folder)
    assert open_source(source) is source
    subset = Subset(source, [3, 1])
    assert [subset.name(0), subset.name(1)] == [source.name(3), source.name(1)]
    assert same(pixels(subset), [pixels(source)[3], pixels(source)[1]])


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda folder: folder, {"classes": [1]}),
        (lambda folder: folder, {"column": "image"}),
        (lambda folder: open_source(folder), {"include": ["a"]}),
        (lambda folder: Image.new("RGB", (4, 4)), {"exclude": ["a"]}),
        (lambda folder: write_idx(folder.parent / "idx"), {"include": ["a"]}),
        (lambda folder: folder, {"include": []}),
        (lambda folder: folder, {"include": [3]}),
        (lambda folder: folder, {"exclude": [""]}),
        (lambda folder: write_idx(folder.parent / "idx"), {"split": "validation"}),
        (lambda folder: write_idx(folder.parent / "idx"), {"classes": ["shirt"]}),
        (lambda folder: write_idx(folder.parent / "idx"), {"classes": []}),
    ],
)
def test_options_that_do_not_belong_are_named(folder, make, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        open_source(make(folder), **options)
