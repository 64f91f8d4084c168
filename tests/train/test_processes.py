"""Trainings in other processes: killed at random moments, and several at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lowshotgan.train.checkpoint import LATEST, read_checkpoint

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def execute(*command: object, timeout: float = 300) -> None:
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


def assert_killed_equals_whole(tiny, tmp_path, *, steps, kills, seed):
    execute(tiny.__file__, "kill", tmp_path / "killed", "--steps", steps, "--kills", kills, "--seed", seed)
    execute(tiny.__file__, "train", tmp_path / "whole", "--steps", steps)
    killed, whole = final(tmp_path / "killed"), final(tmp_path / "whole")
    assert killed.keys() == whole.keys()
    different = [
        name for name, value in whole.items()
        if not (torch.equal(value, killed[name]) if isinstance(value, torch.Tensor) else value == killed[name])
    ]  # fmt: skip
    assert not different


def test_five_kills_change_nothing(tiny, tmp_path):
    assert_killed_equals_whole(tiny, tmp_path, steps=60, kills=5, seed=0)


@pytest.mark.slow
def test_twenty_kills_change_nothing(tiny, tmp_path):
    assert_killed_equals_whole(tiny, tmp_path, steps=400, kills=20, seed=1)


@pytest.mark.parametrize("what", ["train", "stylegan2"])
def test_two_processes_equal_one_on_the_same_global_batch(tiny, tmp_path, what):
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    execute(*launch, tiny.__file__, what, tmp_path / "two", "--steps", 4)
    execute(tiny.__file__, what, tmp_path / "one", "--steps", 4)
    one, two = final(tmp_path / "one"), final(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, value in one.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            torch.testing.assert_close(
                two[name], value, atol=1e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
            )
