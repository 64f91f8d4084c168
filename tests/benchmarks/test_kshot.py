"""One cell at toy size, and how cells are planned, run, resumed and refused."""

import json
import subprocess
import sys
from types import SimpleNamespace

import _kshot_cell
import kshot
import pytest
import torch
from _kshot_cell import Cell, run_cell, save_small
from _kshot_tasks import load_shots
from _kshot_variants import VARIANTS
from _machine import shown_command
from PIL import Image

from lowshotgan.data.images import to_pil
from lowshotgan.finetune.recipes import get_recipe
from lowshotgan.systems.base import System


def cell_of(base, extractor, recipe="tgan", **changes):
    options = {"task": "A-near", "k": 4, "seed": 0, "subset": 0, "samples": 24, "device": "cpu", **changes}
    return Cell(recipe=recipe, model=base, extractor=extractor, selector=extractor, **options)


class FakeFinetune:
    """Stands in for ``lowshotgan.finetune``: keeps what it was given and returns a slightly changed model."""

    def __init__(self, base):
        self.base = base
        self.calls = []

    def __call__(self, model, images, **options):
        self.calls.append((images, options))
        changed = System.from_pretrained(self.base)
        for parameter in changed.generator.parameters():
            parameter.data *= 1.05
        changed.save_delta = lambda path: path.write_bytes(bytes(1234))
        recipe = SimpleNamespace(steps=50, to_dict=lambda: {"name": options["recipe"]})
        return SimpleNamespace(
            model=changed, last=changed, recipe=recipe, seconds=2.0, steps=25, stopped="budget", proximity=0.7,
            snapshots=[SimpleNamespace(step=20)], history=[{"step": 20.0}],
        )  # fmt: skip


@pytest.fixture
def fake(base, monkeypatch):
    finetune = FakeFinetune(base)
    monkeypatch.setattr(_kshot_cell.lowshotgan, "finetune", finetune)
    return finetune


def test_cell_measures_the_chosen_and_the_last_model(packs, base, tiny, fake):
    found, sheet = run_cell(cell_of(base, tiny, last=True), packs)
    assert {"kernel", "intra_cluster", "cluster_coverage", "coverage", "density", "memorized"} <= set(found["chosen"])
    assert {"edge_agreement", "relation_agreement", "diversity_ratio"} <= set(found["chosen"])
    assert found["last"] == found["chosen"]
    assert found["run"]["delta_bytes"] == 1234
    assert found["run"]["peak_bytes"] > 2**20
    assert found["run"]["chosen_step"] == 20
    assert found["reference_images"] == 8
    assert sheet.size == (16 * 18 + 2, 3 * 18 + 2)
    json.dumps(found, allow_nan=False)


def test_finetune_gets_the_k_images_and_nothing_of_the_reference(packs, base, tiny, fake, monkeypatch):
    read = _kshot_cell.tasks.load_reference

    def after_finetune(*args, **options):
        assert fake.calls, "the reference was read before the adaptation"
        return read(*args, **options)

    monkeypatch.setattr(_kshot_cell.tasks, "load_reference", after_finetune)
    run_cell(cell_of(base, tiny), packs)
    (images, _), = fake.calls  # fmt: skip
    shots = load_shots(_kshot_cell.tasks.TASKS["A-near"], packs, k=4, subset=0, resolution=16)
    assert [one.tobytes() for one in images] == [one.tobytes() for one in to_pil(shots.pixels)]


def test_base_row_is_not_adapted(packs, base, tiny, fake):
    found, _ = run_cell(cell_of(base, tiny, recipe="base"), packs)
    assert not fake.calls
    assert found["chosen"]["edge_agreement"] == pytest.approx(1.0)
    assert found["chosen"]["diversity_ratio"] == pytest.approx(1.0)


def test_curve_cell_is_also_compared_with_the_common_reference(packs, base, tiny, fake, monkeypatch):
    monkeypatch.setattr("_kshot_tasks.CURVE_KS", (1, 4))
    found, _ = run_cell(cell_of(base, tiny, recipe="auto", k=1), packs)
    assert found["chosen"]["kernel_common"] is not None
    assert found["chosen"]["memorized"] is None


def test_sheets_stay_small(tmp_path):
    generator = torch.Generator().manual_seed(0)
    noise = Image.fromarray(torch.randint(256, (64, 256, 3), dtype=torch.uint8, generator=generator).numpy())
    assert save_small(noise, tmp_path / "sheet.webp").stat().st_size <= 60_000
    coarse = save_small(noise, tmp_path / "coarse.webp", limit=1)
    assert coarse.stat().st_size < (tmp_path / "sheet.webp").stat().st_size


# ---- planning, resuming --------------------------------------------------------------------------------------


def options_for(folder, *more):
    return kshot._options(["--data", str(folder), "--output", str(folder), *more])


def test_plan_puts_seeds_outermost_and_shares_cells_with_the_curve(tmp_path):
    options = options_for(tmp_path, "--tasks", "A-near", "--recipes", "base,auto", "--seeds", "0,1", "--k-curve")
    cells = list(dict.fromkeys(kshot.plan(options)))
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert sum(cell.recipe == "base" for cell in cells) == 1
    assert [cell.k for cell in cells if cell.seed == 0 and cell.recipe == "auto"] == [10, 1, 5, 25, 100]


def test_scratch_task_has_its_own_recipe(tmp_path):
    options = options_for(tmp_path, "--tasks", "A-scratch", "--recipes", "tgan,cdc")
    assert [(cell.recipe, cell.k) for cell in kshot.plan(options)] == [("fastgan", 100)]


def test_every_variant_changes_its_recipe():
    for name, variant in VARIANTS.items():
        recipe = get_recipe(variant.recipe, k=10)
        assert recipe.override(**variant.changes) != recipe, name


def test_a_variant_is_run_as_its_recipe_with_the_changes(tmp_path, monkeypatch):
    class Asked(Exception):
        pass

    def finetune(_model, _images, **settings):
        raise Asked(settings["recipe"], settings["lr"])

    monkeypatch.setattr(_kshot_cell.lowshotgan, "finetune", finetune)
    options = options_for(tmp_path, "--tasks", "A-near", "--recipes", "wedit_fast")
    shots = SimpleNamespace(pixels=torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(Asked, match="'wedit', 0.05"):
        _kshot_cell._adapt(next(kshot.plan(options)), object(), shots)


def test_report_never_tells_where_folders_are():
    words = ["--data", "/home/me/packs", "--seeds", "0,1", "--output", "mine", "--data", "image=/x/digits"]
    shown = shown_command("kshot.py", words)
    assert shown == "python benchmarks/kshot.py --data PATH --seeds 0,1 --output PATH --data image=PATH"


@pytest.mark.parametrize("bad", [["--tasks", "B-near"], ["--recipes", "gan"], ["--steps", "5", "--budget", "5s"]])
def test_unknown_options_are_refused(tmp_path, bad):
    with pytest.raises(SystemExit):
        options_for(tmp_path, *bad)


def test_run_keeps_finished_cells_and_logs_failed_ones(tmp_path, monkeypatch):
    arguments = ["--data", str(tmp_path), "--output", str(tmp_path / "c"), "--docs", str(tmp_path / "docs")]
    arguments += ["--tasks", "A-near", "--recipes", "tgan,cdc", "--budget", "5s"]
    done = next(cell for cell in kshot.plan(kshot._options(arguments)) if cell.recipe == "tgan")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / f"{done.key}.json").write_text(json.dumps(finished(done)))
    asked = []

    def run(command, **_):
        asked.append(json.loads(command[command.index("--cell") + 1])["recipe"])
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nValueError: no luck")

    monkeypatch.setattr(kshot.subprocess, "run", run)
    kshot.main(arguments)
    assert asked == ["cdc"]
    assert "no luck" in next((tmp_path / "c").glob("*cdc*.failed.txt")).read_text()
    table = (tmp_path / "docs" / "kshot.md").read_text()
    assert "| cdc | failed |" in table
    assert "| tgan | 0.5000 |" in table


def test_cells_made_in_another_way_are_refused(tmp_path):
    arguments = ["--data", str(tmp_path), "--tasks", "A-near", "--recipes", "tgan", "--output", str(tmp_path)]
    cell = next(kshot.plan(kshot._options([*arguments, "--budget", "5s"])))
    (tmp_path / f"{cell.key}.json").write_text(json.dumps(finished(cell)))
    with pytest.raises(SystemExit, match="budget.*5s"):
        kshot.main([*arguments, "--budget", "9s"])


def finished(cell, kernel=0.5):
    """What a finished cell looks like."""
    run = {"seconds": 5.0, "steps": 10, "recipe_steps": 20, "peak_bytes": 3e8, "delta_bytes": 5e4}
    return {
        **{name: getattr(cell, name) for name in ("task", "recipe", "k", "seed", "subset")},
        "settings": cell.settings, "run": run, "chosen": {"kernel": kernel}, "last": None, "train": [],
        "reference_images": 390, "protocol": "lsg1-0/ref-1", "warnings": [], "lowshotgan": "0.1.0",
        "machine": {"cpu": "x", "cores": 2, "threads": 1, "device": "cpu", "torch": "2", "python": "3"},
    }  # fmt: skip


@pytest.mark.slow
def test_the_script_adapts_measures_and_reports(packs, base, tmp_path):
    """Two recipes of two steps, each in its own process, judged by a network of random weights."""
    arguments = ["--data", packs, "--avatars", base, "--tasks", "A-near", "--recipes", "base,tgan"]
    arguments += ["--steps", "2", "--samples", "20", "--extractor", "rand-vgg11-s0", "--selector", "rand-vgg11-s0"]
    arguments += ["--output", tmp_path / "cells", "--docs", tmp_path / "docs", "--device", "cpu"]
    command = [sys.executable, str(kshot.ROOT / "benchmarks" / "kshot.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    logs = [path.read_text()[-2000:] for path in (tmp_path / "cells").glob("*.failed.txt")]
    assert not logs, logs
    assert len(list((tmp_path / "cells").glob("*.json"))) == 2
    assert (tmp_path / "docs" / "kshot" / "A-near.tgan.webp").is_file()
    assert "tgan, end of run" in (tmp_path / "docs" / "kshot.md").read_text()
