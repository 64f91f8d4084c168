"""How fine-tunings begin, stop, go on and end: what is told, what is kept, what may change in between."""

import json
import logging

import numpy as np
import pytest
import torch
from torch import nn

from lowshotgan.api import create_model, finetune, load
from lowshotgan.data.images import from_uint8, to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError
from lowshotgan.metrics import extractors
from lowshotgan.metrics.extractors import extractor_from_module, register_extractor
from lowshotgan.nets.features import FeatureNet
from lowshotgan.train.log import Prediction, ProgressBar
from lowshotgan.train.loop import Moment

TINY = {"channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}


@pytest.fixture(autouse=True)
def tiny_extractor(monkeypatch):
    """A small random feature network, the only one registered; scores do not matter here."""
    torch.manual_seed(0)
    monkeypatch.setattr(extractors, "_REGISTERED", [])
    for place in ("adaptation.PROBE_SAMPLES", "adapt.SELECTOR_SAMPLES", "adapt.COPY_SAMPLES"):
        monkeypatch.setattr(f"lowshotgan.train.{place}", 16)
    net = FeatureNet(widths=(4, 4, 8, 8), depths=(1, 1, 1, 1)).eval()
    register_extractor(extractor_from_module(net, name="tiny"))


@pytest.fixture
def base(tmp_path):
    torch.manual_seed(0)
    create_model("stylegan2_32", **TINY).save_pretrained(tmp_path / "base")
    return load(tmp_path / "base")


def run(base, folder, **options):
    known = {"recipe": "tgan", "steps": 30, "precision": "fp32", "device": "cpu", "progress": False}
    return finetune(base, to_pil(from_uint8(faces(4, resolution=32))), output_dir=folder, **{**known, **options})


def test_every_kept_snapshot_can_be_loaded_from_the_run_folder(base, tmp_path):
    result = run(base, tmp_path / "run")
    steps = {snapshot.step for snapshot in result.snapshots}
    assert steps == {10, 20, 30}
    for step in steps:
        stored = load(tmp_path / "run", at=step)
        assert torch.equal(stored.generate(2).tensor, result.at(step).generate(2).tensor)
        assert stored.details["finetuning"]["chosen_step"] == step
    assert not torch.equal(load(tmp_path / "run", at=10).generate(2).tensor, result.last.generate(2).tensor)
    with pytest.raises(ConfigError, match="no snapshot of step 7; it has those of steps 10, 20, 30"):
        load(tmp_path / "run", at=7)
    with pytest.raises(ConfigError, match="finetune writes them"):
        load(tmp_path / "base", at=10)
    run(base, tmp_path / "run", steps=10, resume="never")
    assert [path.name for path in (tmp_path / "run" / "snapshots").iterdir()] == ["step-000010.safetensors"]


def test_beginning_and_end_are_told(base, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lowshotgan")
    result = run(base, tmp_path / "run", progress=True, flip=True)
    told = caplog.text
    for part in (
        "4 images from", "K = 4: the images are mirrored at random", "Distance to", "30 steps, about 0 min",
        f"Chosen: step {result.snapshots[0].step} (", "Kept besides: step ", "of 16 samples copy an image",
    ):  # fmt: skip
        assert part in told
    assert told.count("variety") == 3  # of all three snapshots
    caplog.clear()
    run(base, tmp_path / "quiet", flip=False)
    assert "4 images from" in caplog.text and "Distance to" not in caplog.text


def test_a_spent_budget_is_told_and_nothing_is_trained_again(base, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lowshotgan")
    first = run(base, tmp_path / "run", budget=1e-3)
    assert (first.stopped, first.steps) == ("budget", 1)
    assert "spent at step 1. To go on, run the same command with a larger budget" in caplog.text
    again = run(base, tmp_path / "run", budget=1e-3)
    assert (again.stopped, again.steps, again.seconds) == ("budget", 1, first.seconds)
    assert torch.equal(first.model.generate(2).tensor, again.model.generate(2).tensor)
    assert run(base, tmp_path / "run").steps == 30


def test_the_report_tells_the_arithmetic_that_ran(base, tmp_path, monkeypatch):
    monkeypatch.setattr("lowshotgan.train.precision.choose_precision", lambda wish, device: torch.bfloat16)
    run(base, tmp_path / "run", precision="auto", steps=2)
    assert json.loads((tmp_path / "run" / "report.json").read_text())["summary"]["precision"] == "bf16"


def test_another_digit_of_the_distance_does_not_forbid_to_go_on(base, tmp_path, monkeypatch):
    measured = run(base, tmp_path / "run", steps=2).proximity
    monkeypatch.setattr("lowshotgan.train.adaptation.proximity", lambda *given: measured + 1e-6)
    assert run(base, tmp_path / "run", steps=2, resume="must").proximity != measured


def test_auto_passes_over_an_extractor_that_cannot_compare_images(base, tmp_path):
    class Means(nn.Module):
        def forward(self, images):
            return images.mean((2, 3))

    register_extractor(extractor_from_module(Means(), name="means"))
    assert run(base, tmp_path / "run", dry_run=True)["extractor"] == "tiny"
    with pytest.raises(ConfigError, match="means has no method maps"):
        run(base, tmp_path / "run", extractor="means", dry_run=True)


def test_micro_batches_of_two_images_are_refused_where_images_are_compared(base, tmp_path):
    with pytest.raises(ConfigError, match="multiple of 2 that is at least 6"):
        run(base, tmp_path / "run", recipe="cdc", accumulate=2, dry_run=True)


def test_the_bar_tells_the_time_left_of_its_own_stage(tiny, capsys):
    bar = ProgressBar()
    for step in range(1, 11):
        bar(Moment(tiny.Toy().stage(20), step, 1000.0 + 2 * step, step / 20, {}))
    assert "step 10, 0:20 left" in capsys.readouterr().err
    bar(Moment(tiny.Toy().stage(20, name="next"), 10, 5000.0, 0.5, {}))
    assert "left" not in capsys.readouterr().err.rpartition("next")[2]  # nothing is known yet


def test_whole_numbers_of_numpy_are_taken(base, tmp_path):
    counts = {
        "steps": np.int64(7),
        "batch_size": np.int32(2),
        "k": np.int64(3),
        "seed": np.int64(1),
        "budget": np.int64(9),
    }
    told = run(base, tmp_path / "run", dry_run=True, **counts)
    assert (told["recipe"]["steps"], told["recipe"]["batch"], told["images"]["k"], told["budget"]) == (7, 2, 3, 9.0)
    json.dumps(told)


def test_a_stage_tells_its_time_once_it_is_known(tiny, caplog):
    caplog.set_level(logging.INFO, logger="lowshotgan")
    stage = tiny.Toy().stage(1000)
    prediction = Prediction(torch.device("cpu"), steps=4, seconds=10.0)
    for step in range(1, 8):
        prediction(Moment(stage, step, 5.0 + 0.5 * step, 0.0, {}))
    assert caplog.text.count("toy: 1000 steps, about 8 min 20 s, ") == 1
    other = tiny.Toy().stage(10, name="slow")
    for step in (1, 2):
        prediction(Moment(other, step, 30.0 * step, 0.0, {}))
    assert "slow: 10 steps, about 5 min 00 s, " in caplog.text
