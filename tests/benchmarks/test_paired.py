"""benchmarks/paired.py: scores of perfect and of unrelated twins, gates, baselines, and a run that resumes."""

import json

import _paired_report
import paired
import pytest
import torch
from _paired_baselines import BASELINES, Coupled, Task, _coupled_judges, run_baseline
from _paired_groups import plain_name, same_thing, set_apart
from _paired_methods import ABLATIONS, needs, settings_of
from _paired_pack import Pack
from _paired_scores import COLUMNS, Reference, consistency, gaps, ridge_classifier, score

from lowshotgan.api import create_model
from lowshotgan.data.appearance import apply_appearance
from lowshotgan.data.images import to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.systems.registry import system_class


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
    assert set(gaps(lambda images: images.flatten(1), single, reference)) == {"gap"}
    assert gaps(lambda images: None, shots, reference) == {}


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
    for steps, draw in run_baseline(name, Task(base, images, pairs, [1, 2], seed=0, batch=4)):
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
    assert "KD over the best" not in before and "| CR | genho | line |" in before
    write("finetune_gd", KD=1.6, CR=1.0, agreement=0.5)
    table = _paired_report.report(tmp_path)
    assert "| KD over the best baseline's | genho | line | not run | not run | met: 0.62 (≤ 0.7) | not run |" in table
    assert "| CR | genho | line | not run | not run | missed: 0.85 (≤ 0.75) | not run |" in table
    assert "| CR below finetune_gd by | genho | line | not run | not run | met: 0.15 (≥ 0.1) | not run |" in table
    assert "- line, K = 10, not run: lado, pfsgan, cogan, unit, cdc." in table
    assert "| lado |" not in table
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
    words += ["--output", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    words += ["--shots", "5", "--draws", "2", "--seeds", "1", "--samples", "12"]
    words += ["--held-out", "8", "--methods", "lado,scratch", "--checkpoints", "1,2", "--extractor", "lsg1"]
    for change in ("steps=1", "align_steps=1", "perceptual=disc"):
        words += ["--set", f"lado.{change}"]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- measured -->\nold\n<!-- end of measured -->\nafter\n")
    table = paired.main([*words, "--page", str(page)])
    rows = [[part.strip() for part in line.split("|")[1:5]] for line in table.splitlines()]
    assert ["line", "5", "lado", "2"] in rows and ["line", "5", "scratch", "2"] in rows
    assert "- line, K = 5, not run: genho, " in table
    cell = json.loads((tmp_path / "out" / "line--scratch--k5-draw0-seed0.json").read_text())
    assert set(cell["KD by steps"]) == {"1", "2"} and cell["KD"] == pytest.approx(
        min(cell["KD by steps"].values()), abs=1e-4
    )
    assert cell["batch"] == 16 and cell["machine"]["cores"] >= 1
    written = page.read_text()
    assert written.startswith("before") and "old" not in written and "Measured on" in written
    assert (tmp_path / "page_line_k5.png").is_file()
    monkeypatch.setattr(paired, "run_cell", None)  # a second call must run nothing
    assert paired.main(words) == table
    (tmp_path / "work").rename(
        tmp_path / "lost"
    )  # as in a new checkout, which has cells and pictures of the page alone
    sheet = (tmp_path / "page_line_k5.png").read_bytes()
    assert (
        paired.main(["--output", str(tmp_path / "out"), "--work", str(tmp_path / "none"), "--page", str(page)])
        == table
    )
    assert page.read_text() == written and (tmp_path / "page_line_k5.png").read_bytes() == sheet


def words_for(folder, count=12, **models):
    """The words of a run on faces whose source models are tiny."""
    (folder / "faces").mkdir()
    for number, image in enumerate(to_pil(faces(count, resolution=16))):
        image.save(folder / "faces" / f"{number}.png")
    for name, (arch, config) in models.items():
        torch.manual_seed(0)
        create_model(arch, resolution=16, **config).save_pretrained(folder / name)
    names = ",".join(f"{name}={folder / name}" for name in models)
    words = ["--data", str(folder / "faces"), "--models", names, "--output", str(folder / "out")]
    words += ["--work", str(folder / "work"), "--draws", "1", "--seeds", "1", "--samples", "8", "--held-out", "4"]
    return [*words, "--extractor", "lsg1"]


PFSGAN = ("pfsgan_32", {"content_dim": 4, "appearance_dim": 4, "width": 4, "encoder": "conv", "encoder_width": 4})


def test_pfsgan_is_a_method_without_a_gap_and_wrong_pairs_are_a_variant(tmp_path):
    words = words_for(tmp_path, pfsgan=PFSGAN)
    for change in ("steps=1", "source_batch_size=4", "discriminator_updates=1", "features=random"):
        words += ["--set", f"pfsgan.{change}"]
    table = paired.main([*words, "--shots", "5", "--shuffle"])
    cells = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").iterdir())]
    assert [cell["method"] for cell in cells] == ["pfsgan", "pfsgan[mis-paired]"]
    assert "gap" not in cells[0] and cells[0]["set"]["steps"] == 1 and cells[0]["model"] == "pfsgan"
    assert cells[0]["CR"] != cells[1]["CR"]
    assert "| pair gap, unseen pairs | pfsgan |" not in table
    lost = cells[1]["CR"] - cells[0]["CR"]
    assert f"| CR lost by wrong pairs | pfsgan | line | – | {'met' if lost >= 0.1 else 'missed'}: {lost:.2f}" in table
    assert "pfsgan[mis-paired] | line" not in table, "a variant that is meant to fail has no gates"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "steps=4"], "--set wants METHOD.NAME=VALUE"),
        (["--set", "steps=4.5"], "--set wants METHOD.NAME=VALUE"),
        (["--set", "scratch.steps=4"], "--set wants METHOD.NAME=VALUE"),
        (["--methods", "pfs"], "no method 'pfs'"),
        (["--methods", "genho"], "genho needs a source model"),
        (["--methods", "scratch"], "scratch needs a source model: --models genho="),
        (["--models", "funit=x"], "--models knows"),
        (["--pairs", "a,b"], "either --data or --pairs"),
    ],
)
def test_what_would_be_ignored_is_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        paired.parse(["--data", "x", "--models", "pfsgan=y", *words])
    assert message in capsys.readouterr().err


def test_variants_change_settings_that_there_are():
    for name, changes in ABLATIONS.items():
        settings = system_class(needs(name)).FineTuning
        assert changes.get("preset", "parity") in settings.PRESETS
        settings(**{key: value for key, value in changes.items() if key != "preset"})
    assert settings_of("lado[lsg1]", ["lado.lr=0.5", "genho.lr=1"]) == {"lr": 0.5, "perceptual": "lsg1"}
    assert settings_of("scratch", ["genho.lr=1"]) == {}


def test_emoji_of_one_kind_have_one_plain_name():
    assert plain_name("1f468-1f3fb-200d-1f33e.webp") == plain_name("a/1f469-200d-1f33e.png") == "1f9d1-1f33e"
    assert plain_name("1f3c3-200d-2640-fe0f.webp") == plain_name("1f3c3.webp") == "1f3c3"
    assert plain_name("1f385.png") == plain_name("1f936.png") and plain_name("2640.png") == "2640"
    assert plain_name("face_1.png") == "face_1"


def test_variants_and_near_duplicates_are_held_out_together():
    images = faces(8, resolution=32)
    images[5] = images[1]
    groups = same_thing(["1f468", "b", "1f469", "d", "e", "f", "g", "h"], images)
    assert groups[0] == groups[2] and groups[1] == groups[5] and len(set(groups)) == 6
    for seed in range(20):
        apart, rest = set_apart(groups, 3, seed=seed)
        assert sorted([*apart, *rest]) == list(range(8)) and len(apart) >= 3
        assert not {groups[i] for i in apart} & {groups[i] for i in rest}


def test_real_pairs_never_score_what_shots_show(tmp_path):
    words_for(tmp_path, pfsgan=PFSGAN)
    images = faces(12, resolution=16)
    targets = apply_appearance(images, "line")
    images[6:] = images[:6]
    for side, values in (("a", images), ("b", targets)):
        (tmp_path / side).mkdir()
        for number, image in enumerate(to_pil(values)):
            image.save(tmp_path / side / f"x{number}.png")
    words = ["--pairs", f"{tmp_path / 'a'},{tmp_path / 'b'}", "--models", f"pfsgan={tmp_path / 'pfsgan'}"]
    pack = Pack(paired.parse([*words, "--held-out", "4", "--extractor", "lsg1"]))
    known = {one.numpy().tobytes() for one in pack.reference.source}
    assert len(pack.reference.source) >= 4
    assert all(one.numpy().tobytes() not in known for one in pack.shots(len(pack.rest), 0)["source"])


def test_a_pair_that_a_pack_holds_twice_counts_once(tmp_path):
    words_for(tmp_path, pfsgan=PFSGAN)
    images = faces(6, resolution=16)
    for side, values in (("a", images), ("b", apply_appearance(images, "line"))):
        (tmp_path / side).mkdir()
        for number, image in enumerate([*to_pil(values), *to_pil(values[:2])]):
            image.save(tmp_path / side / f"x{number}.png")
    words = ["--pairs", f"{tmp_path / 'a'},{tmp_path / 'b'}", "--models", f"pfsgan={tmp_path / 'pfsgan'}"]
    pack = Pack(paired.parse([*words, "--held-out", "2", "--extractor", "lsg1"]))
    assert len(pack.source) == len(pack.target) == 6
    (tmp_path / "b" / "x0.png").rename(tmp_path / "b" / "y.png")
    with pytest.raises(SystemExit, match="equal names"):
        Pack(paired.parse([*words, "--held-out", "2", "--extractor", "lsg1"]))
