"""The drawn truth of the translation benchmark, and its figures at toy size."""

import json

import _many_digits
import _photographs
import pytest
import torch
import translation
from _digits import COLOURS, USUAL, painted, training_colours
from _digits import judge as judge_digits
from _glyphs import WIDTHS, glyph_task, inks, thickened
from _known_truth import crop_ratio, cut, paired_gain
from _machine import machine_facts
from _petals import blobs, ideal, judge, palettes, photographed, training_images
from _translation_page import page
from PIL import Image, ImageDraw

from lowshotgan.api import create_model
from lowshotgan.data.classes import load_classes
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.translation import RealImages
from lowshotgan.systems.registry import ARCHS

TINY = {
    "resolution": 16, "width": 4, "content_downs": 2, "class_downs": 2, "code_dim": 4, "mlp_width": 8, "num_classes": 3,
    "discriminator_width": 4, "discriminator_blocks": 4, "discriminator_cap": 8,
}  # fmt: skip


def means(values):
    return {name: float(value.mean()) for name, value in values.items()}


def test_the_right_answer_is_judged_right_and_another_class_wrong():
    colours, masks = palettes(15, seed=3), blobs(15, side=32, seed=1)
    labels = torch.arange(15)
    right = means(judge(ideal(masks, colours) * 2 - 1, masks, labels, colours))
    assert right["accuracy"] == 1 and right["iou"] > 0.95 and right["l1"] < 1e-6
    noisy = means(judge(photographed(masks, colours, seed=0), masks, labels, colours))
    assert noisy["accuracy"] > 0.8 and noisy["l1"] < 0.08
    wrong = means(judge(ideal(masks, colours.roll(1, 0)) * 2 - 1, masks, labels, colours))
    assert wrong["accuracy"] == 0 and wrong["l1"] > 0.1
    moved = means(judge(ideal(masks.roll(1, 0), colours) * 2 - 1, masks, labels, colours))
    assert moved["iou"] < 0.7


@pytest.fixture(scope="module")
def characters():
    """Seventy characters of three drawings: strokes between random points, moved a little from drawing to drawing."""
    generator, found = torch.Generator().manual_seed(0), {}
    for number in range(70):
        points = torch.randint(6, 58, (4, 2), generator=generator)
        found[f"{number:02d}"] = []
        for _ in range(3):
            image = Image.new("L", (64, 64), 255)
            moved = points + torch.randint(-2, 3, points.shape, generator=generator)
            ImageDraw.Draw(image).line([tuple(point) for point in moved.tolist()], fill=0, width=2)
            found[f"{number:02d}"].append(image)
    return found


def test_right_glyphs_are_judged_right_and_others_colours_widths_and_characters_wrong(characters):
    task = glyph_task(characters, classes=6, side=32, seed=0)
    right = [task.truth(label) for label in range(6)]
    assert task.content.shape == (50, 3, 32, 32) and task.exemplars(2, 4, 0).shape == (4, 3, 32, 32)
    found = means(task.judge(torch.cat(right), 0))
    assert min(found["colours"], found["width"], found["character"], found["ssim"]) > 0.94 and found["l1"] < 1e-5
    others = means(task.judge(torch.cat(right), 1))
    assert others["character"] < 0.1 and others["ssim"] < 0.8
    shifted = means(task.judge(torch.cat(right[3:] + right[:3]), 0))  # the same widths, other colours
    assert shifted["colours"] == 0
    thinner = [task.judge(torch.cat(right[1:] + right[:1]), 0)["width"]]
    assert float(thinner[0].mean()) < 0.2


def test_glyphs_of_the_training_are_not_those_of_the_test(characters):
    known, kept = inks(characters)
    assert known.shape == (20, 3, 1, 64, 64) and kept.shape == (50, 3, 1, 64, 64)
    shares = [float(thickened(kept[:, 0], width, side=32).mean()) for width in WIDTHS]
    assert shares[0] < 0.8 * shares[1] < 0.7 * shares[2]
    every = torch.cat([known, kept]).flatten(1)
    assert len(torch.unique(every, dim=0)) == 70


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
    assert {"copy", "K=1", "K=5", "K=10", "K=20", "shuffled", "reconstruction"} <= set(found)
    assert found["copy"]["iou"] != found["K=5"]["iou"] and found["swap_ratio"] > 0 and found["translations"] == 32
    change = found["K=5"]["l1"] - found["K=1"]["l1"]
    gain = found["gain"]["l1"]
    assert gain["mean"] == pytest.approx(change, abs=1e-6) and gain["low"] <= gain["mean"] <= gain["high"]
    assert picture.shape == (8 * 9, 3, 16, 16)


def test_the_gain_of_pairs_is_sure_where_every_pair_gains():
    first = torch.rand(200, generator=torch.Generator().manual_seed(0))
    sure = paired_gain(first, first + 0.1, seed=0)
    assert sure["low"] == pytest.approx(0.1) == sure["high"]
    unsure = paired_gain(first, first.flip(0), seed=0)
    assert unsure["low"] < 0 < unsure["high"] and abs(unsure["mean"]) < 1e-6


class Follows:
    """Draws the mean colour of the exemplar, or also its upper left corner."""

    def __init__(self, corner):
        self.corner = corner

    def encode_each(self, exemplars):
        return exemplars[:, :, :4, :4].mean((2, 3)) if self.corner else exemplars.mean((2, 3))

    def redraw(self, content, codes):
        return codes[:, :, None, None].expand_as(content)


def test_who_follows_the_cut_of_an_exemplar_has_the_larger_ratio():
    images = photographed(blobs(6, side=32, seed=0), palettes(6, seed=1), seed=0)
    ratios = [crop_ratio(Follows(corner), images[:2], images, seed=0) for corner in (False, True)]
    assert 0 < ratios[0] < 0.5 * ratios[1]
    assert not torch.equal(cut(images, seed=0), cut(images, seed=1)) and cut(images, seed=0).shape == images.shape


def test_figures_of_glyphs_and_their_page(toy, characters, tmp_path):
    for name, images in characters.items():
        (tmp_path / "characters" / name).mkdir(parents=True)
        for number, image in enumerate(images):
            image.save(tmp_path / "characters" / name / f"{number}.png")
    found, picture = translation.glyphs(toy, tmp_path / "characters", classes=3, seed=0)
    assert found["translations"] == 150 and picture.shape == (8 * 7, 3, 16, 16)
    about = {
        "model": "toy",
        "training": None,
        "seed": 0,
        "machine": machine_facts(),
        "untrained": found,
        "trained": found,
    }
    assert "- `glyphs`" in page(tmp_path)
    (tmp_path / "translation_glyphs.json").write_text(json.dumps(about))
    coco = about | {"changed": "COCO-FUNIT", "trained": found | {"crop_ratio": 0.5 * found["crop_ratio"]}}
    (tmp_path / "translation_glyphs_coco.json").write_text(json.dumps(coco))
    text = page(tmp_path)
    assert "## Coloured characters" in text and "- `glyphs`" not in text
    assert "| COCO-FUNIT follows the cut, over FUNIT | 0.500 | at most 0.9 | met |" in text
    assert f"| (a) SSIM, K=5 less K=1, paired bootstrap | {found['gain']['ssim']['mean']:.4f} | 95 %" in text


def test_figures_of_class_folders_and_the_page_of_both(toy, tmp_path):
    data = training_images(4, side=16, seed=0, per_class=44)
    toy.details["classes"] = ["000", "001"]
    folders = load_classes(data, resolution=16)
    real = RealImages(load_extractor("rand-vgg11-s0"), {name: folders.of_class(name) for name in folders.classes})
    found, picture = translation.classes(toy, real, count=8, seed=0)
    assert found["unseen"] == ["002", "003"] and picture.shape == (9 * 3, 3, 16, 16)
    assert found["copy"]["content"] < 1e-4 < found["layout"]["own"] and found["layout"]["shuffled"] > 0
    assert found["translations"] == 8 and found["crop_ratio"] > 0
    for key in ("top1_test", "kernel"):
        change = found["K=5"][key] - found["K=1"][key]
        assert found["gain"][key]["mean"] == pytest.approx(change, rel=0.05), key  # KD is the mean of random subsets
        assert found["gain"][key]["low"] <= found["gain"][key]["high"]
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
    assert "| translations judged | 8 | at least 1500 | missed |" in text
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


def test_the_colour_of_each_of_many_digits_is_judged():
    drawn = torch.rand(10, 3, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round()
    masks = _many_digits.scattered(drawn, 6, seed=0)
    assert float(masks.sum(1).max()) == 1 and bool((masks.sum((2, 3)) > 300).all())
    shown = _many_digits.coloured(_many_digits.scattered(drawn, 6, seed=1), seed=2)
    content = _many_digits.grey(masks, seed=3)
    assert set(content.painted().unique().tolist()) == {-1.0, 1.0}
    truth = _many_digits.Scenes(masks, shown.colours, shown.ground)
    assert _many_digits.judge(truth.painted(), truth) == {"ssim": pytest.approx(1), "l1": 0, "digits": 1}
    turned = _many_digits.Scenes(masks, shown.colours.roll(1, 1), shown.ground)
    wrong = _many_digits.judge(turned.painted(), truth)
    assert wrong["digits"] == 0 and wrong["ssim"] < 0.95 and wrong["l1"] > 0
    assert _many_digits.judge(content.painted(), truth)["digits"] < 0.3


def test_the_page_shows_many_digits_beside_a_training_without_masks(tmp_path):
    row = {"ssim": 0.25, "l1": 0.5, "digits": 0.75}
    about = {"model": "toy", "training": None, "seed": 0, "machine": machine_facts()}
    ways = dict.fromkeys(("copy", "without mask", "truth"), row) | {"with mask": row | {"ssim": 0.5}}
    (tmp_path / "translation_many.json").write_text(json.dumps(about | ways))
    assert "| SSIM over copied contents | 0.250 | at least 0.1 | met |" in page(tmp_path)
    other = about | ways | {"changed": "trained without masks", "without mask": row | {"ssim": 0.625}}
    (tmp_path / "translation_many_without_mask.json").write_text(json.dumps(other))
    text = page(tmp_path)
    assert "| trained without masks | 0.625 | 0.500 | 0.750 |" in text
    assert "| SSIM over a training without masks | -0.125 | at least 0 | missed |" in text


def test_figures_of_fitting_and_their_page(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(_photographs, "load_extractor", lambda _: load_extractor("rand-vgg11-s0"))
    toy.details["classes"] = ["000", "001"]
    data = training_images(6, side=16, seed=0, per_class=26)
    found = _photographs.fitting(toy, data, count=4, seed=0, steps=2, trains="decoder", shots=(5,))
    kinds = found["kinds"]["K=5"]
    assert len(kinds) == 4 and set(kinds) <= {"002", "003", "004", "005"}
    for ways in kinds.values():
        assert ways["encoded"]["others"] == 0 < ways["fitted"]["others"]
    about = {"model": "toy", "training": None, "seed": 0, "machine": machine_facts()}
    (tmp_path / "translation_fitting.json").write_text(json.dumps(about | found))
    (tmp_path / "translation_fitting_class.json").write_text(json.dumps(about | found | {"trains": "class"}))
    text = page(tmp_path)
    assert '`trains="decoder"`, 2 steps' in text and '`trains="class"`, 2 steps, held by drawn images' in text
    assert "with `--trains class`" not in text and "with `--trains adain`" in text
