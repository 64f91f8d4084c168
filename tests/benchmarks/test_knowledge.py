"""benchmarks/knowledge.py: the judge, the scores of perfect and of useless output, and a page made of cells."""

import json
from types import SimpleNamespace

import _knowledge_recolour as recolouring
import _knowledge_zero_shot as zero_shot
import knowledge
import pytest
import torch

from lowshotgan.api import create_model
from lowshotgan.data.shapes import painted_heads
from lowshotgan.errors import ConfigError


def pack():
    """Four drawn heads with their true masks, and perfect recolourings of them."""
    drawn = painted_heads(4, resolution=16)
    images, masks = drawn.images / 255, drawn.masks.float().view(4, 1, 16, 16)
    palette = {"black": (0.1, 0.1, 0.1), "brown": (0.4, 0.3, 0.2), "ginger": (0.8, 0.4, 0.1)}
    palette |= {"blonde": (0.9, 0.8, 0.4), "blue": (0.2, 0.5, 0.8), "pink": (0.9, 0.5, 0.7)}
    truth = {name: images.lerp(torch.tensor(c)[None, :, None, None], masks) for name, c in palette.items()}
    return recolouring.TestImages(images, masks, truth, palette, torch.tensor([True, True, True, False]))


def test_true_recolourings_have_no_error_and_identity_has_some():
    test = pack()
    chosen = test.trained_style
    best = recolouring.figures(test.truth, test, chosen)
    assert best["unseen_distance"] < 1e-3 and best["unseen_ciede2000"] < 0.1
    assert best["unseen_truth_mae"] == 0 and best["outside_change"] == 0
    identity = recolouring.figures(dict.fromkeys(test.palette, test.images), test, chosen)
    assert identity["unseen_distance"] > 0.2 and identity["unseen_ciede2000"] > 10
    assert identity["unseen_truth_mae"] > 0.01 and identity["outside_change"] == 0
    assert recolouring.iou(test.masks, test.masks) == 1
    assert recolouring.iou(test.masks, 1 - test.masks) == 0
    assert recolouring.texture(dict.fromkeys(test.palette, test.images), test, chosen) == pytest.approx(1, abs=1e-3)


def test_a_model_is_scored_beside_identity_and_flat_paint():
    torch.manual_seed(0)
    sizes = {"resolution": 16, "transform_width": 4, "mask_width": 4, "discriminator_width": 4}
    model = create_model("kggan_recolour_64", categories=["black", "brown", "blonde"], **sizes)
    test = pack()
    found = recolouring.score(model, test, has_g2=True)
    assert set(found) == {"trained_style", "other_styles"}
    assert set(found["trained_style"]) == {"method", "nearest", "identity", "flat"}
    pictures = (test.images * 255).round().to(torch.uint8)
    nearest = recolouring.recolour(model, pictures, test, "ginger", has_g2=False)
    assert torch.equal(nearest, model.recolor(pictures, category="brown").tensor)


def test_the_judge_reads_each_attribute_by_itself():
    torch.manual_seed(0)
    judge = zero_shot.Judge([["black", "red"], ["dark", "light", "pale"]])
    right = judge.right(torch.rand(6, 3, 64, 64) * 2 - 1, [["red", "pale"]] * 6)
    assert right.shape == (6, 2) and right.dtype == torch.bool
    assert zero_shot.shares(torch.tensor([[True, True], [True, False], [False, False], [True, True]])) == {
        "joint": 0.5, "hair": 0.75, "skin": 0.5,
    }  # fmt: skip


def test_the_page_has_verdicts_and_says_what_was_not_run(tmp_path):
    shares = {"joint": 0.9, "hair": 0.95, "skin": 0.95}
    cell = {"part": "zero-shot", "arm": "full", "seed": 0, "machine": "a machine", "judge": shares, "chance": 0.018}
    cell |= {"seen": shares, "unseen": shares, "unseen_colours": shares, "unseen_pairs": shares}
    cell |= {"seen_kd": 0.1, "unseen_kd": 0.2}
    (tmp_path / "zero-shot-full-seed0.json").write_text(json.dumps(cell))
    target = tmp_path / "page.md"
    (tmp_path / "zero-shot-published-seed0.json").write_text(json.dumps({**cell, "arm": "published"}))
    places = ["--page", str(target), "--metrics", str(tmp_path / "cards")]
    assert knowledge.main(["report", "--output", str(tmp_path), *places]) == 0
    listed = json.loads((tmp_path / "cards" / "zero-shot-published-seed0.json").read_text())
    assert {"name": "accuracy_unseen", "value": 0.9, "protocol": "benchmarks/knowledge.py"} in listed
    text = target.read_text()
    assert "| full, 32 px | 1 of 3 | 0.900 | 0.900 |" in text
    assert "| unseen joint accuracy of full at least 0.85 | 0.900 | reached |" in text
    assert "| KD of unseen at most 1.5 times that of seen (full) | 2.000 | missed |" in text
    assert "no knowledge (one-hot), 32 px | not run" in text
    assert text.count("Not run.") == 1  # the recolouring half


def test_cells_that_exist_are_not_run_again(tmp_path, monkeypatch):
    made = []

    def cell(shared, options, arm, model, *, seed, run):
        made.append((arm, seed))
        return {"score": 1}

    monkeypatch.setattr(knowledge, "prepare", lambda options, folder: "shared")
    monkeypatch.setattr(knowledge, "recolour_cell", cell)
    arguments = [
        "recolour",
        "--data",
        "d",
        "--test",
        "t",
        "--output",
        str(tmp_path),
        "--seeds",
        "0,1",
        "--arms",
        "full",
    ]
    assert knowledge.main(arguments) == 0 and knowledge.main(arguments) == 0
    assert made == [({}, 0), ({}, 1)]
    assert json.loads((tmp_path / "recolour-full-seed1.json").read_text())["arm"] == "full"


def test_an_unknown_arm_is_refused(tmp_path):
    options = SimpleNamespace(part="recolour", models="", arms="best", seeds="0")
    with pytest.raises(ConfigError, match="arm must be"):
        knowledge.run_part(options, tmp_path)
