"""The drawn truth of the translation benchmark, and its figures at toy size."""

import json

import pytest
import torch
import translation
from _digits import COLOURS, USUAL, painted, training_colours
from _digits import judge as judge_digits
from _machine import machine_facts
from _petals import blobs, ideal, judge, palettes, photographed, training_images
from _translation_page import page

from lowshotgan.api import create_model
from lowshotgan.data.classes import load_classes
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.translation import RealImages
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


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(ARCHS, "funit_16", ("funit", TINY))
    torch.manual_seed(0)
    return create_model("funit_16")


def test_figures_of_petals(toy):
    found, picture = translation.petals(toy, classes=4, contents=8, seed=0)
    assert set(found) == {"copy", "K=1", "K=5", "K=10", "K=20", "shuffled", "swap_ratio", "reconstruction"}
    assert found["copy"]["iou"] != found["K=5"]["iou"] and found["swap_ratio"] > 0
    assert picture.shape == (8 * 9, 3, 16, 16)


def test_figures_of_class_folders_and_the_page_of_both(toy, tmp_path):
    data = training_images(4, side=16, seed=0, per_class=44)
    toy.details["classes"] = ["000", "001"]
    folders = load_classes(data, resolution=16)
    real = RealImages(load_extractor("rand-vgg11-s0"), {name: folders.of_class(name) for name in folders.classes})
    found, picture = translation.classes(toy, real, count=8, seed=0)
    assert found["unseen"] == ["002", "003"] and picture.shape == (9 * 3, 3, 16, 16)
    assert found["copy"]["content"] < 1e-4 < found["layout"]["own"] and found["layout"]["shuffled"] > 0
    about = {"model": "toy", "training": None, "seed": 0, "machine": machine_facts()}
    petals, _ = translation.petals(toy, classes=4, contents=8, seed=0)
    for task, values in (("classes", found), ("petals", petals)):
        content = json.dumps({**about, "untrained": values, "trained": values})
        (tmp_path / f"translation_{task}.json").write_text(content)
    content = json.dumps({**about, "untrained": found, "trained": found})
    (tmp_path / "translation_faces.json").write_text(content)
    text = page(tmp_path)
    assert (
        "## Faces of unseen breeds" in text and "| top-1 among the unseen, K=5 | " in text and "at least 1 |" in text
    )
    assert f"| trained, K=5 | {found['K=5']['top1_all']:.3f} |" in text
    assert "| ... over untrained | 1.000 | at least 8 | missed |" in text or petals["K=5"]["accuracy"] == 0


def test_the_page_shows_earlier_attempts_at_digits(tmp_path):
    about = {"model": "toy", "training": None, "seed": 0, "machine": machine_facts()}
    row = {"ssim": 0.25, "colours_seen": 0.5, "colours_unseen": 0.75, "digit": 0.125}
    ways = dict.fromkeys(("copy", "full", "with mask", "without AdaIN", "truth"), row)
    (tmp_path / "translation_digits.json").write_text(json.dumps(about | ways))
    earlier = about | {"changed": "slower", "full": row | {"ssim": 0.625}}
    (tmp_path / "translation_digits_attempt1.json").write_text(json.dumps(earlier))
    text = page(tmp_path)
    assert "| with mask | 0.250 | 0.500 | 0.750 | 0.125 |" in text and "| without mask |" not in text
    assert "| slower | 0.625 | 0.500 | 0.750 | 0.125 |" in text


def test_the_right_digits_are_judged_right_and_other_colours_wrong():
    masks = blobs(12, side=28, seed=4).round()
    labels, chosen = torch.arange(12) % 10, torch.arange(12) % 6
    truth = painted(masks, COLOURS[chosen])
    right = judge_digits(truth, masks, labels, chosen, (masks, labels))
    assert right.ssim == pytest.approx(1) and right.digit == 1 and right.colours_seen == right.colours_unseen == 1
    wrong = judge_digits(painted(masks, COLOURS[chosen - 1]), masks, labels, chosen, (masks, labels))
    assert wrong.colours_seen == wrong.colours_unseen == 0 and wrong.ssim < 0.7
    drawn = training_colours(torch.tensor([7] * 20 + [2] * 40), seed=0)
    assert bool((drawn[:20] == USUAL).all()) and len(set(drawn[20:].tolist())) == 6
