"""The drawn truth of the translation benchmark, and its figures at toy size."""

import pytest
import torch
import translation
from _petals import blobs, ideal, judge, palettes, photographed

from lowshotgan.systems.registry import ARCHS

TINY = {
    "resolution": 16, "width": 4, "content_downs": 2, "class_downs": 2, "code_dim": 4, "mlp_width": 8, "num_classes": 3,
    "discriminator_width": 4, "discriminator_blocks": 4, "discriminator_cap": 8,
}  # fmt: skip


def test_the_right_answer_is_judged_right_and_another_class_wrong():
    colours, masks = palettes(15, seed=3), blobs(15, side=32, seed=1)
    labels = torch.arange(15)
    right = judge(ideal(masks, colours) * 2 - 1, masks, labels, colours)
    assert right.accuracy == 1 and right.iou > 0.95 and right.l1 < 1e-6
    noisy = judge(photographed(masks, colours, seed=0), masks, labels, colours)
    assert noisy.accuracy > 0.8 and noisy.l1 < 0.08
    wrong = judge(ideal(masks, colours.roll(1, 0)) * 2 - 1, masks, labels, colours)
    assert wrong.accuracy == 0 and wrong.l1 > 0.1
    moved = judge(ideal(masks.roll(1, 0), colours) * 2 - 1, masks, labels, colours)
    assert moved.iou < 0.7


def test_longer_draws_begin_with_shorter_ones():
    assert torch.equal(palettes(3, seed=2), palettes(5, seed=2)[:3])
    assert torch.equal(blobs(3, side=16, seed=2), blobs(5, side=16, seed=2)[:3])
    share = blobs(40, side=32, seed=0).mean((1, 2, 3))
    assert share.min() > 0.03 and share.max() < 0.6


def test_figures_of_a_toy_run(monkeypatch):
    monkeypatch.setitem(ARCHS, "funit_16", ("funit", TINY))
    monkeypatch.setattr(translation, "PER_CLASS", 2)
    options = {"steps": 2, "batch_size": 2, "device": "cpu", "precision": "fp32", "progress": False}
    found = translation.compare("funit_16", options, classes=3, unseen=4, contents=3, seed=0)
    assert found["training"]["steps"] == 2
    assert found["trained"]["copy"] == found["untrained"]["copy"]
    assert found["trained"]["K=5"] != found["untrained"]["K=5"]
    assert found["trained"]["reconstruction"] > 0 and found["trained"]["swap_ratio"] > 0
    text = translation.table(found)
    assert text.count("\n| trained") == 6 and f"{found['trained']['K=5']['l1']:.3f}" in text
    assert found["untrained"]["copy"]["l1"] == pytest.approx(found["trained"]["copy"]["l1"])
