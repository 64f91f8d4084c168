"""Trainings in other processes: killed at random moments, and several at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lowshotgan.train.checkpoint import LATEST, read_checkpoint
from lowshotgan.train.log import read_log

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def execute(*command: object, timeout: float = 600) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env=environment | ENVIRONMENT, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def tensors(state, prefix=""):
    """Every tensor and number of a nested state, by path."""
    if isinstance(state, dict):
        return {k: v for key, part in state.items() for k, v in tensors(part, f"{prefix}/{key}").items()}
    if isinstance(state, list | tuple):
        return {k: v for i, part in enumerate(state) for k, v in tensors(part, f"{prefix}/{i}").items()}
    return {prefix: state}


def final(folder):
    return {
        name: value
        for name, value in tensors(read_checkpoint(folder / "checkpoints" / LATEST)).items()
        if name != "/seconds"
    }


def assert_killed_equals_whole(tiny, tmp_path, *, steps, kills, seed, what="kill"):
    execute(tiny.__file__, what, tmp_path, "--steps", steps, "--kills", kills, "--seed", seed)
    killed, whole = final(tmp_path / "killed"), final(tmp_path / "whole")
    assert killed.keys() == whole.keys()
    different = [
        name for name, value in whole.items()
        if not (torch.equal(value, killed[name]) if isinstance(value, torch.Tensor) else value == killed[name])
    ]  # fmt: skip
    assert not different


def test_five_kills_change_nothing(tiny, tmp_path):
    assert_killed_equals_whole(tiny, tmp_path, steps=60, kills=5, seed=0)


def test_a_fine_tuning_that_is_killed_ends_with_the_same_bits(tiny, tmp_path):
    """A StyleGAN2 with adaptive augmentation, averages and chosen snapshots."""
    assert_killed_equals_whole(tiny, tmp_path, steps=10, kills=3, seed=2, what="kill-fine-tuning")
    state = read_checkpoint(tmp_path / "killed" / "checkpoints" / LATEST)
    assert state["state"]["augment"]["p"] > 0 and len(state["state"]["selector"]["snapshots"]) == 2


@pytest.mark.slow
def test_twenty_kills_change_nothing(tiny, tmp_path):
    assert_killed_equals_whole(tiny, tmp_path, steps=400, kills=20, seed=1)


@pytest.fixture(scope="module")
def two_processes(tiny_script, tmp_path_factory):
    """A folder with trainings of two processes: ``toy``, ``stylegan2`` and fine-tunings by their recipe."""
    folder = tmp_path_factory.mktemp("two")
    execute("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, tiny_script, "all", folder)
    return folder


def test_two_processes_equal_one_on_the_same_global_batch(tiny, two_processes, tmp_path):
    tiny.run(tmp_path, 4)
    assert_close(final(two_processes / "toy"), final(tmp_path))


def test_two_processes_train_the_stylegan2_that_one_would(tiny, two_processes, tmp_path):
    tiny.train_stylegan2(tmp_path, 4)
    assert_close(final(two_processes / "stylegan2"), final(tmp_path))


@pytest.mark.parametrize("recipe", ["cdc", "auto", "rick"])
def test_two_processes_fine_tune_as_one_would(tiny, two_processes, tmp_path, recipe):
    """Each sees two of the four images of a batch; both judge and regularizers compare all four."""
    tiny.fine_tune(tmp_path, 4, recipe)
    assert_close(final(two_processes / recipe), final(tmp_path))
    told = [read_log(folder / "log.jsonl")[-1] for folder in (two_processes / recipe, tmp_path)]
    shared, alone = ({name: value for name, value in line.items() if "/" in name} for line in told)
    assert shared == pytest.approx(alone, rel=1e-2, abs=1e-4)
    assert recipe == "rick" or min(shared["generator/relation"], alone["generator/relation"]) > 0


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    different = {}
    for name, value in expected.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            gap = float((found[name] - value).abs().max())
            if gap > 1e-4 + 1e-3 * float(value.abs().max()):
                different[name] = gap
    assert not different
