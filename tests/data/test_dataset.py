"""Loading, the seeded choice of K images and what is recorded about it."""

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowshotgan.data import dataset
from lowshotgan.data.dataset import ImageSet, draw_subset, load_images
from lowshotgan.data.preprocess import Preprocess
from lowshotgan.data.sources import open_source
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError, ImageInputError


def test_images_are_prepared_in_order(folder):
    images, source = load_images(folder, resolution=24), open_source(folder)
    assert len(images) == 10
    assert images.resolution == 24
    prepare = Preprocess(24)
    assert torch.equal(images.uint8(), torch.stack([prepare(source.read(i)) for i in range(10)]))
    assert images.names == [source.name(i) for i in range(10)]
    assert images.report.count == 10
    assert "10 images" in repr(images)


def test_chosen_rows_come_in_the_order_asked(folder):
    images = load_images(folder, resolution=16)
    everything = images.uint8()
    assert torch.equal(images.uint8([7, 0, 7, -1]), everything[[7, 0, 7, 9]])
    assert torch.equal(images.uint8(torch.tensor([2])), everything[2:3])
    assert images.uint8([]).shape == (0, 3, 16, 16)
    with pytest.raises(ConfigError, match="indices"):
        images.uint8([10])


@pytest.mark.parametrize("shuffled", [[0], [3, 1, 2], [5, 5]])
def test_a_set_too_large_for_memory_is_read_on_demand(folder, shuffled, monkeypatch):
    monkeypatch.setattr(dataset, "LOOKED_AT", 4)
    kept, read = load_images(folder, resolution=16), load_images(folder, resolution=16, memory_limit=1000)
    assert kept.in_memory
    assert not read.in_memory
    assert torch.equal(kept.uint8(shuffled), read.uint8(shuffled))
    assert torch.equal(kept.uint8(), read.uint8())
    assert read.report.looked_at == 5
    assert "looked at 5" in read.report.summary()
    assert len(read.digest) == 64


def test_the_draw_depends_on_the_seed_and_is_recorded(folder):
    first, again = (load_images(folder, resolution=8, k=4, seed=3) for _ in range(2))
    assert first.subset == again.subset
    assert first.subset["k"] == 4
    assert first.subset["available"] == 10
    assert first.subset["names"] == first.names
    everything = load_images(folder, resolution=8)
    assert torch.equal(first.uint8(), everything.uint8(first.subset["indices"]))
    assert json.loads(json.dumps(first.subset)) == first.subset
    others = {tuple(load_images(folder, resolution=8, k=4, seed=seed).names) for seed in range(6)}
    assert len(others) > 3
    assert everything.subset["k"] == 10
    assert everything.subset["seed"] is None


@settings(max_examples=40, deadline=None)
@given(available=st.integers(1, 200), seed=st.integers(0, 2**40), data=st.data())
def test_draws_of_one_seed_are_nested(available, seed, data):
    large = data.draw(st.integers(1, available))
    small = data.draw(st.integers(1, large))
    chosen = draw_subset(available, large, seed)
    assert set(draw_subset(available, small, seed)) <= set(chosen)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == large
    assert 0 <= min(chosen) <= max(chosen) < available


def test_drawing_all_keeps_the_order():
    assert draw_subset(5, 5, 0) == draw_subset(5, None, 0) == [0, 1, 2, 3, 4]


def test_the_digest_names_the_pixels(folder):
    images = load_images(folder, resolution=16)
    assert images.digest == load_images(images.uint8(), resolution=16).digest
    assert images.digest != load_images(folder, resolution=8).digest
    assert images.digest != load_images(folder, resolution=16, include=["a"]).digest


def test_an_image_set_can_be_passed_again(folder):
    images = load_images(folder, resolution=16)
    assert load_images(images, resolution=16) is images
    smaller = load_images(images, resolution=8, k=2)
    assert isinstance(smaller, ImageSet)
    assert set(smaller.names) <= set(images.names)
    assert smaller.resolution == 8


def test_an_image_set_can_be_copied_to_a_worker(folder):
    images = load_images(folder, resolution=8, memory_limit=0)
    assert torch.equal(copy.deepcopy(images).uint8(), images.uint8())


def test_every_awkward_kind_loads_together(mixed):
    images = load_images(mixed, resolution=16, background=(0, 0, 0))
    assert images.uint8().shape == (len(list(mixed.iterdir())), 3, 16, 16)


def test_all_failures_come_in_one_message(folder):
    for index in range(3):
        (folder / "a" / f"0{index}.png").write_bytes(b"broken")
    with pytest.raises(ImageInputError, match="3 of 10 images") as caught:
        load_images(folder, resolution=16)
    assert all(f"0{index}.png" in str(caught.value) for index in range(3))


def test_only_the_chosen_images_have_to_be_good(folder):
    good = load_images(folder, resolution=8, k=3, seed=0)
    for name in set(load_images(folder, resolution=8).names) - set(good.names):
        (folder / name).write_bytes(b"")
    assert load_images(folder, resolution=8, k=3, seed=0).digest == good.digest


def test_a_file_lost_after_loading_is_named(folder):
    images = load_images(folder, resolution=8, memory_limit=0)
    (folder / "a" / "03.png").unlink()
    with pytest.raises(ImageInputError, match=r"03\.png"):
        images.uint8([images.names.index("a/03.png")])


def test_tensors_load_unchanged():
    levels = faces(3, resolution=16)
    assert torch.equal(load_images(levels, resolution=16).uint8(), levels)
