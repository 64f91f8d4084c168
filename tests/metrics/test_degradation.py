"""The degradation benchmark at toy size, on drawings, with the shipped network."""

import importlib.util
from pathlib import Path

import pytest
import torch

from lowshotgan.data.synthetic import faces
from lowshotgan.errors import WeightsNotFoundError
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.memorization import memorization

ROOT = Path(__file__).resolve().parents[2]


def load_script(name):
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lsg1():
    try:
        return load_extractor("lsg1")
    except WeightsNotFoundError as error:
        pytest.skip(f"the weights of the feature network are not in this checkout: {error}")


@pytest.fixture(scope="module")
def drawn():
    return faces(160, resolution=64, seed=5)


def test_scores_rise_with_every_step_of_every_degradation(lsg1, drawn):
    script = load_script("degradation")
    found = script.measure_series(drawn[80:], drawn[:80], lsg1)
    assert set(found) == {"blur", "noise", "colour shift"}
    for series, every in found.items():
        steps = [step for step in every if step["strength"] != 0.5]  # a blur too slight for 80 drawings
        assert script.is_rising(steps, "kernel"), (series, steps)
        assert script.is_rising(steps, "frechet"), (series, steps)
        assert steps[0]["low"] < 0 < steps[0]["high"] < steps[-1]["low"], (series, steps)


def test_scores_rise_with_every_dropped_group(lsg1):
    script = load_script("degradation")
    styles = ("flat", "line", "neon", "inverted")
    pool = torch.cat([faces(60, resolution=64, style=style, seed=5) for style in styles])
    groups = [style for style in styles for _ in range(60)]
    reference = torch.cat([faces(20, resolution=64, style=style, seed=9) for style in styles])
    steps = script.measure_dropping(pool, groups, reference, lsg1)
    dropped = [step for step in steps if step["strength"] in (0.0, 0.2, 0.6, 0.7)]  # of four groups: 0, 1, 2, 3
    assert script.is_rising(dropped, "kernel"), dropped


def test_lightly_changed_copies_are_found_and_independent_drawings_are_not(lsg1, drawn):
    script = load_script("memorization")
    train, strangers = drawn[:10], drawn[10:110]
    copies = script.lightly_changed(train.repeat(3, 1, 1, 1), seed=0)
    assert memorization(copies, train, extractor=lsg1).rate >= 0.9
    assert memorization(strangers, train, extractor=lsg1).rate <= 0.03


def test_the_benchmark_writes_its_report(lsg1, drawn, tmp_path, monkeypatch):
    from lowshotgan.data.images import to_pil

    for i, image in enumerate(to_pil(drawn[:24])):
        folder = tmp_path / "pack" / f"group{i % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{i}.png")
    script = load_script("degradation")
    arguments = ["degradation.py", "--data", str(tmp_path / "pack"), "--output", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", arguments)
    script.main()
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {f"degradation_pack.{ending}" for ending in ("json", "md", "png")}
    assert "folders dropped" in (tmp_path / "out" / "degradation_pack.md").read_text()
