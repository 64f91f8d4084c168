"""benchmarks/knowledge.py: the judge, the scores of perfect and of useless output, and a page made of cells."""

import json
from dataclasses import replace
from types import SimpleNamespace

import _knowledge_embedding as embedding
import _knowledge_recolour as recolouring
import _knowledge_worlds as worlds
import _knowledge_zero_shot as zero_shot
import knowledge
import pytest
import torch

from lowshotgan.api import create_model
from lowshotgan.data.shapes import painted_heads
from lowshotgan.errors import ConfigError
from lowshotgan.losses.knowledge_guided import region_colour
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.systems.kggan.system import KGGAN


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
    assert best["unseen_error"] == best["unseen_truth_mae"] == best["outside_change"] == 0
    identity = recolouring.figures(dict.fromkeys(test.palette, test.images), test, chosen)
    assert identity["unseen_distance"] > 0.2 and identity["unseen_ciede2000"] > 10
    assert identity["unseen_truth_mae"] > 0.01 and identity["outside_change"] == 0
    mean = region_colour(test.images[chosen], (test.masks[chosen] > 0.5).float())
    by_hand = [float((mean - torch.tensor(test.palette[name])).abs().mean()) for name in ("ginger", "blue", "pink")]
    assert list(identity["colours"].values())[2:3] + list(identity["colours"].values())[4:] == pytest.approx(
        by_hand, abs=1e-3
    )
    assert identity["unseen_error"] == pytest.approx(sum(by_hand) / 3, abs=1e-3)
    assert identity["target_error"] == pytest.approx(sum(by_hand[1:]) / 2, abs=1e-3)  # without ginger
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
    assert 0 <= found["trained_style"]["method"]["seen_accuracy"] <= 1
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


def small(part, tmp_path, *more):
    """Options of a run at toy size."""
    return [part, "--output", str(tmp_path), "--resolution", "16", "--steps", "1", "--samples", "2", *more]


def test_shapes_have_all_arms_and_their_groups(tmp_path, tiny, monkeypatch):
    world = worlds.shapes(each=4)
    values = [{one.split()[i] for one in world.names if one not in world.unseen} for i in (0, 1)]
    counts = [
        [sum(value in name.split() for name in world.names if name not in world.unseen) for value in v] for v in values
    ]
    assert len(world.names) == 24 and len(world.unseen) == 6 and min(map(min, counts)) >= 3
    hard = [name for name in world.names if name not in world.hard]
    assert {sum(name.startswith(colour) for name in hard) for colour in ("red", "green", "blue")} == {2}
    sizes = {"z_dim": 4, "width": 4, "discriminator_width": 4, "embedding_width": 4}
    training = {"batch_size": 4, "embedding_steps": 1, "folds": 0, "discriminator_steps": 1}
    world = replace(world, model={**world.model, **sizes}, training={**world.training, **training})
    monkeypatch.setattr(knowledge, "shapes", lambda: world)
    monkeypatch.setattr(zero_shot, "KERNEL_IMAGES", 12)
    monkeypatch.setattr(KGGAN, "statistics_samples", 50)
    monkeypatch.setattr(zero_shot.Judge.trained.__func__, "__kwdefaults__", {"steps": 2})
    assert knowledge.main(small("shapes", tmp_path, "--extractor", tiny)) == 0
    cells = {path.stem.split("-")[1]: json.loads(path.read_text()) for path in tmp_path.glob("shapes-*.json")}
    assert set(cells) == set(zero_shot.ZERO_SHOT_ARMS)
    assert all((tmp_path / f"shapes-{arm}-seed0.png").is_file() for arm in cells)
    assert {arm for arm, cell in cells.items() if "never_listed" in cell} == {"open_world"}
    assert {arm for arm, cell in cells.items() if "permuted" not in cell} == {"one_hot", "one_hot_semantic"}
    assert cells["full"]["attributes"] == ["colour", "shape"] and cells["full"]["seen_diversity"] > 0


def test_the_embedding_network_is_trained_with_each_protection(tmp_path, monkeypatch):
    world = worlds.shapes(each=4)
    monkeypatch.setattr(knowledge, "shapes", lambda: replace(world, model={**world.model, "embedding_width": 4}))
    monkeypatch.setattr(embedding, "BATCH", 8)
    assert knowledge.main(small("embedding", tmp_path)) == 0
    cells = {path.stem.split("-")[1]: json.loads(path.read_text()) for path in tmp_path.glob("embedding-*.json")}
    assert set(cells) == {"nuisance", "pooled", "naive"}
    assert all(0 <= cell[group] <= 1 for cell in cells.values() for group in ("seen", "unseen"))
    images = world.images(world.names, 16)
    known, other = embedding.split(images, [name for name in world.names if name not in world.unseen])
    assert len(known) == 18 * 2 and len(other) == 24 * 2 and set(known.counts.values()) == {2}
    assert not {known.images.source.name(i) for i in range(36)} & {other.images.source.name(i) for i in range(48)}


def test_heads_have_all_arms(tmp_path, monkeypatch):
    monkeypatch.setattr(recolouring, "HEADS", 6)
    monkeypatch.setattr(recolouring, "TEST_HEADS", 6)
    assert knowledge.main(small("heads", tmp_path, "--set", "batch_size=2")) == 0
    cells = {path.stem.split("-")[1]: json.loads(path.read_text()) for path in tmp_path.glob("heads-*.json")}
    assert set(cells) == set(recolouring.RECOLOUR_ARMS) and set(
        cells["full"]["trained_style"]["method"]["colours"]
    ) >= {"cyan"}
    assert "other_styles" not in cells["full"] and "unseen_truth_mae" not in cells["full"]["trained_style"]["identity"]
    assert (tmp_path / "heads-full-seed0.png").is_file()
    target = tmp_path / "page.md"
    assert knowledge.main(["report", "--output", str(tmp_path), "--page", str(target)]) == 0
    text = target.read_text()
    assert "| full, 16 px | 1 of 3 |" in text and "mask IoU without D less than that of full, by" in text
    assert "![heads-full-seed0]" not in text  # they do not lie beside the page


def test_border_chroma_and_diversity_by_hand(tiny):
    images = torch.zeros(2, 3, 16, 16)
    images[:, 0, :3] = 1.0  # three red rows of sixteen
    inside = images.clone()
    inside[:, 1, 5:9, 5:9] = 1.0
    border = 16 * 16 - 10 * 10
    assert zero_shot.border_chroma(images) == pytest.approx(0.5 * 3 * 16 / border)
    assert zero_shot.border_chroma(inside) == pytest.approx(zero_shot.border_chroma(images))
    extractor = load_extractor(tiny)
    same, other = images[:1].expand(2, -1, -1, -1), torch.stack([images[0], -inside[0]])
    assert zero_shot.diversity([same], extractor) == pytest.approx(0, abs=1e-4)
    assert zero_shot.diversity([same, other], extractor) == pytest.approx(
        zero_shot.diversity([other], extractor) / 2, rel=1e-3
    )


def test_the_page_has_verdicts_and_says_what_was_not_run(tmp_path):
    folder = tmp_path / "knowledge"
    folder.mkdir()
    shares = {"joint": 0.9, "hair": 0.95, "skin": 0.95}
    cell = {"part": "zero-shot", "arm": "full", "seed": 0, "machine": "a machine", "judge": shares, "chance": 0.018}
    cell |= {"seen": shares, "unseen": shares, "unseen_colours": shares, "unseen_pairs": shares}
    cell |= {"seen_kd": 0.1, "unseen_kd": 0.2}
    (folder / "zero-shot-full-seed0.json").write_text(json.dumps(cell))
    (folder / "zero-shot-full-seed0.png").touch()
    target = tmp_path / "page.md"
    published = {**cell, "arm": "published", "permuted": {"joint": 0.45}}
    (folder / "zero-shot-published-seed0.json").write_text(json.dumps(published))
    places = ["--page", str(target), "--metrics", str(tmp_path / "cards")]
    assert knowledge.main(["report", "--output", str(folder), *places]) == 0
    listed = json.loads((tmp_path / "cards" / "zero-shot-published-seed0.json").read_text())
    assert {one["name"]: one["value"] for one in listed}["accuracy_unseen"] == 0.9
    assert all(one["reference"] and one["protocol"] == "benchmarks/knowledge.py" for one in listed)
    text = target.read_text()
    assert "| full, 32 px | 1 of 3 | 0.900 | 0.900 |" in text
    assert "| unseen joint accuracy of full at least 0.85 | 0.900 | reached |" in text
    assert "| published: by another's vector at least 0.8 of unseen | 0.500 | missed |" in text
    assert "| KD of unseen at most 1.5 times that of seen (full) | 2.000 | missed |" in text
    assert "![zero-shot-full-seed0](knowledge/zero-shot-full-seed0.png)" in text
    assert "(`zero-shot`): no_semantic, one_hot, one_hot_semantic, full_hard, no_semantic_hard, open_world |" in text
    assert "(`heads`): full, no_g2, no_cycle, no_d |" in text and "(`embedding`): nuisance, pooled, naive |" in text
    assert text.count("Not run.") == 4  # shapes, embedding, recolour, heads


def test_the_pack_is_judged_in_the_units_of_the_targets(tmp_path):
    def errors(value):
        keys = (
            "target_error",
            "unseen_error",
            "unseen_distance",
            "unseen_ciede2000",
            "seen_ciede2000",
            "target_truth_mae",
        )
        return {**dict.fromkeys(keys, value), "outside_change": 0.0, "iou": 0.7, "luminance_correlation": 0.8}

    ours = {**errors(0.1), "unseen_distance": 0.4}
    style = {"method": ours, "nearest": errors(0.5), "identity": errors(0.4), "flat": errors(0.1)}
    cell = {"part": "recolour", "arm": "published", "seed": 0, "machine": "m", "resolution": 128}
    cell |= {"trained_style": style, "other_styles": style}
    (tmp_path / "recolour-published-seed0.json").write_text(json.dumps(cell))
    text = knowledge.page(tmp_path, {part: [] for part in knowledge.ARMS})
    assert "| published: error on blue and pink at most 0.12 | 0.100 | reached |" in text
    assert "| published: MAE on blue and pink at most 0.65 of identity's | 0.250 | reached |" in text
    assert "| published: error of G1 alone at least 3 times as large | 5.000 | reached |" in text


def test_cells_that_exist_are_not_run_again(tmp_path, monkeypatch):
    made = []

    def cell(shared, options, arm, model, *, seed, run):
        made.append((arm, seed))
        return {"score": 1}, None

    monkeypatch.setattr(knowledge, "prepare", lambda options, folder: "shared")
    monkeypatch.setitem(knowledge.CELLS, "recolour", cell)
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
