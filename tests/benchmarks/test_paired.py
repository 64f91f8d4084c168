"""benchmarks/paired.py: scores of perfect and of unrelated twins, gates, baselines, and a run that resumes."""

import json

import _paired_report
import paired
import pytest
import torch
from _paired_baselines import BASELINES, Coupled, Task, _coupled_judges, run_baseline
from _paired_scores import COLUMNS, Reference, consistency, gaps, ridge_classifier, score

from lowshotgan.api import create_model
from lowshotgan.data.appearance import apply_appearance
from lowshotgan.data.images import to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.metrics.extractors import load_extractor


def small_genho():
    torch.manual_seed(0)
    return create_model("genho_32", resolution=16, z_dim=6, width_base=64, width_max=8)


def drawn(reference_style="line"):
    flat = faces(48, resolution=32)
    source = flat[24:]
    labelled = (flat[:20], torch.arange(20) % 2)
    target = apply_appearance(source, "line")
    return flat, Reference(load_extractor("lsg1"), source, target, reference_style, labelled)


def test_scores_of_perfect_twins_and_of_copies():
    flat, reference = drawn()
    shots = apply_appearance(flat[20:24], "line")
    perfect = score(flat[:20], apply_appearance(flat[:20], "line"), shots, reference)
    assert perfect["CR"] == 0 and perfect["KD"] == pytest.approx(perfect["oracle"])
    copies = score(flat[:20], shots.repeat(5, 1, 1, 1), shots, reference)
    assert copies["copying"] < 0.05 < 0.6 < perfect["copying"]
    assert copies["diversity"] < perfect["diversity"] and copies["CR"] > 0.8
    assert perfect["agreement"] > copies["agreement"]
    assert set(perfect) == set(COLUMNS) - {"gap", "gap of shots"}


def test_scores_of_real_pairs_need_no_map():
    flat, reference = drawn(None)
    found = score(flat[:20], flat[:20], flat[20:24], reference)
    assert found["CR"] == pytest.approx(0, abs=1e-5) and not {"oracle", "agreement"} & set(found)
    assert consistency(flat[:20], flat[4:24], None) > 0.8


def test_gaps_of_an_encoder_that_sees_appearance_alone():
    flat, reference = drawn()
    shots = {"source": flat[:4], "target": apply_appearance(flat[:4], "line")}
    assert gaps(lambda images: images.mean(dim=(2, 3)), shots, reference)["gap"] > 1
    single = {name: one[:1] for name, one in shots.items()}
    assert torch.tensor(gaps(lambda images: images.flatten(1), single, reference)["gap of shots"]).isnan()


def test_ridge_classifier_by_hand():
    features = torch.tensor([[0.0, 1.0], [0.1, 1.0], [1.0, 1.0], [0.9, 1.0]])
    classify = ridge_classifier(features, torch.tensor([0, 0, 1, 1]))
    assert classify(torch.tensor([[0.2, 1.0], [0.8, 1.0]])).tolist() == [0, 1]


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_draw_twins_at_each_checkpoint_and_leave_the_base_alone(name):
    base, images = small_genho(), faces(8, resolution=16)
    before = {key: value.clone() for key, value in base.state_dict().items()}
    pairs = {"source": images[:3], "target": apply_appearance(images[:3], "line")}
    latents = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    found = []
    for steps, draw in run_baseline(name, Task(base, images, pairs, [1, 2], seed=0)):
        source, target = draw(latents)
        assert source.shape == target.shape == (4, 3, 16, 16) and target.abs().max() <= 1
        found.append((steps, target.detach().clone()))
    assert [steps for steps, _ in found] == [1, 2] and not torch.equal(found[0][1], found[1][1])
    assert all(torch.equal(before[key], value) for key, value in base.state_dict().items())


def test_what_coupled_networks_share():
    base = small_genho()
    first, second = _coupled_judges(base)
    shared = set(map(id, first.parameters())) & set(map(id, second.parameters()))
    assert 0 < len(shared) < len(list(first.parameters()))
    source, target = Coupled(base).eval()(torch.randn(2, 6))
    assert not torch.equal(source, target)


def test_gates_are_met_missed_and_not_run(tmp_path):
    def write(method, **values):
        cell = {"task": "line", "method": method, "k": 10, "draw": 0, "seed": 0, "seconds": 1, "picture": "x.png"}
        (tmp_path / f"line--{method}--k10-draw0-seed0.json").write_text(json.dumps(cell | values))

    for name in ("scratch", "finetune"):
        write(name, KD=2.0, CR=1.0)
    write("genho", KD=1.0, CR=0.85, diversity=0.9)
    before = _paired_report.report(tmp_path)
    assert "| KD over the best baseline's | genho | line | not run | not run | not run | not run |" in before
    write("finetune_gd", KD=1.6, CR=1.0, agreement=0.5)
    table = _paired_report.report(tmp_path)
    assert "| KD over the best baseline's | genho | line | not run | not run | met: 0.62 (≤ 0.7) | not run |" in table
    assert "| CR | genho | line | not run | not run | missed: 0.85 (≤ 0.75) | not run |" in table
    assert "| CR below finetune_gd by | genho | line | not run | not run | met: 0.15 (≥ 0.1) | not run |" in table
    assert "| line | 10 | lado | not run |" in table
    write("lado[pixels]", KD=2.0, CR=0.7)
    table = _paired_report.report(tmp_path)
    assert "| CR | lado[pixels] | line | not run | not run | met: 0.70 (≤ 0.75) | not run |" in table
    assert "| CR | lado | line |" not in table, "a plain system of which a variant was measured is not told of twice"


def test_cells_are_run_once_and_told_in_a_table(tmp_path, monkeypatch):
    small_genho().save_pretrained(tmp_path / "genho")
    create_model("lado_32", resolution=16, content_dim=6, appearance_dim=4, width=4).save_pretrained(tmp_path / "lado")
    (tmp_path / "faces").mkdir()
    for number, image in enumerate(to_pil(faces(16, resolution=16))):
        image.save(tmp_path / "faces" / f"{number}.png")
    words = ["--data", str(tmp_path / "faces"), "--models", f"lado={tmp_path / 'lado'},genho={tmp_path / 'genho'}"]
    words += ["--output", str(tmp_path / "out"), "--shots", "5", "--draws", "2", "--seeds", "1", "--samples", "12"]
    words += ["--held-out", "8", "--methods", "lado,scratch", "--checkpoints", "1,2", "--extractor", "lsg1"]
    for change in ("steps=1", "align_steps=1", "perceptual=disc"):
        words += ["--set", f"lado.{change}"]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- measured -->\nold\n<!-- end of measured -->\nafter\n")
    table = paired.main([*words, "--page", str(page)])
    rows = [[part.strip() for part in line.split("|")[1:5]] for line in table.splitlines()]
    assert ["line", "5", "lado", "2"] in rows and ["line", "5", "scratch", "2"] in rows
    assert ["line", "5", "genho", "not run"] in rows
    cell = json.loads((tmp_path / "out" / "line--scratch--k5-draw0-seed0.json").read_text())
    assert set(cell["KD by steps"]) == {"1", "2"} and cell["KD"] == pytest.approx(
        min(cell["KD by steps"].values()), abs=1e-4
    )
    assert page.read_text().startswith("before") and "old" not in page.read_text()
    assert (tmp_path / "page_line_k5.png").is_file()
    monkeypatch.setattr(paired, "run_cell", None)  # a second call must run nothing
    assert paired.main(words) == table
