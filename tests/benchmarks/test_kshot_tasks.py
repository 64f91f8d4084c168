"""Which images the tasks adapt to and are judged by."""

import pytest
import torch
from _kshot_tasks import TASKS, load_common_reference, load_reference, load_shots

TENSHOT = ("big-ears/0005.png", "big-ears/0003.png", "big-ears/0008.png")
"""As in the toy pack of ``conftest.py``."""


def same_rows(a, b):
    return {one.numpy().tobytes() for one in a} & {one.numpy().tobytes() for one in b}


def test_fixed_shots_are_the_ten_shot_list_and_then_the_rest(packs):
    shots = load_shots(TASKS["A-near"], packs, k=5, subset=0, resolution=16)
    assert shots.names[:3] == TENSHOT
    assert shots.names[3:] == ("big-ears/0000.png", "big-ears/0001.png")
    assert shots.pixels.shape == (5, 3, 16, 16)


def test_other_subsets_are_drawn_by_seed(packs):
    draws = [load_shots(TASKS["A-near"], packs, k=5, subset=subset, resolution=16).names for subset in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("task", ["A-near", "A-far"])
def test_reference_is_everything_else(packs, task):
    shots = load_shots(TASKS[task], packs, k=4, subset=0, resolution=16)
    reference = load_reference(TASKS[task], packs, shots.names, resolution=16)
    assert len(reference) == 12 - 4
    assert not same_rows(reference, shots.pixels)


def test_cats_and_dogs_take_turns(packs):
    names = load_shots(TASKS["A-far"], packs, k=6, subset=0, resolution=16).names
    assert names == tuple(
        f"{name}.png" for name in ("bengal/000", "akita/000", "persian/000", "boxer/000", "bengal/001", "akita/001")
    )


def test_garments_are_padded_with_black_and_judged_by_the_test_part(packs):
    shots = load_shots(TASKS["F-near"], packs, k=2, subset=0, resolution=32)
    assert shots.names == ("train/00000", "train/00002")
    assert shots.pixels[:, :, :2].max() == 0
    assert torch.equal(shots.pixels[:, :, 2:30, 2:30], torch.full((2, 3, 28, 28), 200, dtype=torch.uint8))
    assert len(load_reference(TASKS["F-far"], packs, (), resolution=32)) == 2


def test_common_reference_starts_behind_the_largest_k(packs, monkeypatch):
    monkeypatch.setattr("_kshot_tasks.CURVE_KS", (1, 4))
    common = load_common_reference(TASKS["A-near"], packs, resolution=16)
    shots = load_shots(TASKS["A-near"], packs, k=4, subset=0, resolution=16)
    assert len(common) == 8
    assert not same_rows(common, shots.pixels)


def test_too_few_images_end_the_run(packs):
    with pytest.raises(SystemExit, match="only 12 images"):
        load_shots(TASKS["A-near"], packs, k=13, subset=0, resolution=16)
