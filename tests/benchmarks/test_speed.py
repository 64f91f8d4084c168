"""The parts of the speed benchmark at toy size."""

import pytest
import speed

from lowshotgan.systems.registry import ARCHS

TINY = {"resolution": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_base": 128, "channel_max": 8}


RATIOS = {"library": 0.5, "plain": 1.3, "ratio": 2.6, "lowest_turn": 2.4, "highest_turn": 2.8}


@pytest.fixture
def tiny_arch(monkeypatch):
    monkeypatch.setitem(ARCHS, "stylegan2_16", ("stylegan2", TINY))
    return "stylegan2_16"


def test_steps_of_both_implementations_are_compared(tiny_arch):
    found = speed.compare_steps(tiny_arch, batch=4, repeats=1, steps=3)["wall"]
    assert found["ratio"] == pytest.approx(found["plain"] / found["library"])
    assert found["lowest_turn"] <= found["highest_turn"]


def test_a_turn_counts_every_step_but_the_first(tiny_arch):
    turn = speed.library_turn(tiny_arch, 4, speed.drawn_images(tiny_arch, 4), 3)
    assert len(turn.wall) == len(turn.cpu) == 3
    assert all(seconds > 0 for seconds in turn.wall)


def test_penalty_is_shared_out():
    assert speed.amortised([[1.0, 1.0, 9.0, 3.0]]) == pytest.approx(1 + 2 / 16)


def test_share_outside_and_generation_rates(tiny_arch):
    assert 0 <= speed.share_outside(tiny_arch, 4, 3) <= 1
    assert speed.generate_rates(tiny_arch, 2, 1)["library"] > 0


def test_report_judges_the_targets():
    found = {
        "machine": {"cpu": "x", "cores": 2, "threads": 2, "device": "cpu", "torch": "2", "python": "3"},
        "load": 0.1, "arch": "stylegan2_64", "batch": 8, "repeats": 5, "precision": "float32",
        "step": dict.fromkeys(("wall", "cpu"), RATIOS),
        "outside": 0.12, "generate": {"1": {"library": 10.0, "plain": 5.0, "ratio": 2.0}},
        "peak_bytes": {"nothing": 2**28, "library": 2**29, "plain": 2**29}, "import_ms": 12.0,
        "cold_start": {"parts": {"import torch": 2.0}, "total": 3.0, "weights": "random"},
    }  # fmt: skip
    text = speed.report(found, "python benchmarks/speed.py")
    assert "at least 2.5: met" in text
    assert "below 10%: missed" in text
    assert "| ... import torch | 2.00 s |" in text


@pytest.mark.slow
def test_the_whole_script_runs(tmp_path):
    arguments = ["--arch", "stylegan2_32", "--batch", "4", "--repeats", "1", "--steps", "2", "--loop-steps", "2"]
    speed.main([*arguments, "--output", str(tmp_path)])
    assert (tmp_path / "speed.md").is_file()
    assert (tmp_path / "speed.json").is_file()
