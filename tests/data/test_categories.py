"""Images with categories: where the categories come from, which images are read, and the order of batches."""

import zipfile
from collections import Counter

import pytest
import torch
from PIL import Image

from lowshotgan.data.categories import CategoryBatches, load_categories
from lowshotgan.errors import ConfigError, ImageInputError

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture
def folder(tmp_path):
    for name, colour in COLOURS.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (8, 8), colour).save(tmp_path / "data" / name / f"{index}.png")
    return tmp_path / "data"


def colours_of(found):
    pixels = found.images.uint8()[:, :, 0, 0].tolist()
    return {found.categories[label]: tuple(pixel) for label, pixel in zip(found.labels.tolist(), pixels, strict=True)}


def test_sub_folders_are_categories_and_the_others_are_not_read(folder):
    (folder / "green" / "0.png").write_bytes(b"damaged")
    found = load_categories(folder, ["blue", "red"], resolution=8)
    assert colours_of(found) == {name: COLOURS[name] for name in ("blue", "red")}
    assert found.counts == {"blue": 3, "red": 3} and len(found) == 6
    with pytest.raises(ImageInputError, match=r"0\.png"):
        load_categories(folder, list(COLOURS), resolution=8)


def test_a_mapping_a_list_of_labels_and_a_limit(folder):
    pixels = {name: torch.tensor(colour, dtype=torch.uint8) for name, colour in COLOURS.items()}
    images = {name: pixel[:, None, None].expand(4, 3, 8, 8) for name, pixel in pixels.items()}
    found = load_categories(images, ["green", "red"], resolution=8, limit=2)
    assert colours_of(found) == {name: COLOURS[name] for name in ("green", "red")} and len(found) == 4
    flat = torch.cat([images["red"], images["blue"]])
    found = load_categories(flat, ["blue", "red"], resolution=8, labels=["red"] * 4 + ["blue"] * 4)
    assert colours_of(found) == {name: COLOURS[name] for name in ("blue", "red")}
    with pytest.raises(ImageInputError, match="3 labels for 8 images"):
        load_categories(flat, ["red"], resolution=8, labels=["red"] * 3)


def test_a_table_in_the_zip_may_join_columns(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        lines = ["file,hue,size"]
        for path in sorted(folder.rglob("*.png")):
            name = path.relative_to(folder).as_posix()
            archive.write(path, name)
            lines.append(f"{name},{path.parent.name},{'big' if path.stem == '0' else 'small'}")
        archive.writestr("table.csv", "\n".join(lines))
    options = {"labels": "table.csv", "columns": ["hue", "size"]}
    found = load_categories(tmp_path / "data.zip", ["red small", "blue big"], resolution=8, **options)
    assert found.counts == {"red small": 2, "blue big": 1}
    with pytest.raises(ConfigError, match="lacks"):
        load_categories(tmp_path / "data.zip", ["red"], resolution=8, labels="table.csv", columns=["hair"])
    with pytest.raises(ImageInputError, match="cannot be read"):
        load_categories(tmp_path / "data.zip", ["red"], resolution=8, labels="other.csv")


def test_a_table_may_have_holes_and_space(folder):
    lines = ["file, hue", "red/0.png, red", "red/1.png", "", "red/2.png,"]
    lines += [f"{hue}/{index}.png,{hue}" for hue in ("green", "blue") for index in range(3)]
    (folder / "table.csv").write_text("\n".join(lines))
    found = load_categories(folder, list(COLOURS), resolution=8, labels="table.csv")
    assert found.counts == {"red": 1, "green": 3, "blue": 3}
    (folder / "table.csv").write_text("file;hue\nred/0.png;red\n")
    with pytest.raises(ConfigError, match="split by ';'"):
        load_categories(folder, list(COLOURS), resolution=8, labels="table.csv")


def test_labels_and_names_may_be_numbers():
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    assert load_categories(images, ["0", "1"], resolution=8, labels=torch.tensor([1, 0, 1, 1])).counts == {
        "0": 1,
        "1": 3,
    }
    assert load_categories({0: images, 1: images}, ["0", "1"], resolution=8).counts == {"0": 4, "1": 4}
    for labels in (3, {"a": "0"}):
        with pytest.raises(ImageInputError, match="labels must be a list"):
            load_categories(images, ["0"], resolution=8, labels=labels)
    for limit in (0, -1, "2"):
        with pytest.raises(ConfigError, match="limit"):
            load_categories({"0": images}, ["0"], resolution=8, limit=limit)


def test_missing_categories_are_named(folder):
    with pytest.raises(ImageInputError, match="no images of pink; its categories are blue, green, red"):
        load_categories(folder, ["red", "pink"], resolution=8)
    with pytest.raises(ImageInputError, match="no sub-folders"):
        load_categories(folder / "red", ["red"], resolution=8)


def test_batches_show_every_category_equally_often_and_continue(folder):
    for path in (folder / "red" / "1.png", folder / "red" / "2.png"):
        path.unlink()
    found = load_categories(folder, list(COLOURS), resolution=8)
    batches = CategoryBatches(found, 6, seed=3)
    first = [next(batches) for _ in range(4)]
    labels = torch.cat([batch["labels"] for batch in first]).tolist()
    assert Counter(labels) == {0: 8, 1: 8, 2: 8}
    again = CategoryBatches(found, 6, seed=3)
    again.load_state_dict({"position": 12})
    other = next(again)
    assert torch.equal(other["images"], first[2]["images"]) and torch.equal(other["labels"], first[2]["labels"])
    halves = [next(CategoryBatches(found, 6, seed=3, rank=rank, world_size=2)) for rank in (0, 1)]
    together = torch.stack([half["labels"] for half in halves], dim=1).flatten()
    assert torch.equal(together, first[0]["labels"])
    assert set(next(CategoryBatches(found, 6, only=[1]))["labels"].tolist()) == {1}
    assert found.describe()["categories"] == list(COLOURS)
