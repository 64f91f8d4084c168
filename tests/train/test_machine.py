"""Which device is used, and what is said about one that is not there."""

import pytest
import torch

from lowshotgan.api import create_model
from lowshotgan.cli import run
from lowshotgan.errors import ConfigError
from lowshotgan.train import machine
from lowshotgan.train.machine import Machine, check_device


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine that says it has two GPUs."""
    monkeypatch.setattr(machine, "_devices", lambda: ["cuda:0", "cuda:1", "cpu"])


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(machine, "_devices", lambda: ["cpu"])


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "cuda:7", "foo", "cuda:x", "meta", ""])
def test_a_device_that_is_not_there_is_refused_everywhere(no_gpu, name):
    for use in (check_device, Machine, lambda name: create_model("stylegan2_32", channel_max=8, device=name)):
        with pytest.raises(ConfigError, match="one of cpu, which this machine has"):
            use(name)


@pytest.mark.parametrize("verb", [["generate", "stylegan2_64.avatars_v1", "--grid", "a.png"],
                                  ["train", "stylegan2_32", "--data", ".", "-o", "run"]])  # fmt: skip
def test_the_command_line_explains_in_one_line(no_gpu, verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lowshotgan.systems.base.System.read_data", lambda *args, **options: [])
    assert run([*verb, "--device", "cuda"]) == 1
    assert capsys.readouterr().err.startswith("error: device must be auto or one of cpu")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cpu", "cpu:0", "cuda", "cuda:0", "cuda:1"])
def test_a_device_that_is_there_is_taken(two_gpus, name):
    assert check_device(name) == torch.device(name)
    assert check_device(torch.device(name)) == torch.device(name)
    with pytest.raises(ConfigError, match="cuda:0, cuda:1, cpu"):
        check_device("cuda:2")


def test_auto_is_the_best_there_is(two_gpus):
    assert check_device("auto") == torch.device("cuda:0")
    assert Machine("cuda:1").device == torch.device("cuda:1")
    assert Machine("cpu").device == torch.device("cpu")


def test_one_process_may_change_its_device_as_often_as_it_likes(two_gpus):
    for name, kind in (("cuda", "cuda"), ("cpu", "cpu"), (None, "cuda"), ("auto", "cuda"), ("cpu", "cpu")):
        assert Machine(name).device == torch.device(kind)


def test_a_program_that_uses_accelerate_itself_is_left_alone(two_gpus):
    from accelerate.state import AcceleratorState, PartialState

    PartialState(cpu=True)
    before = dict(PartialState._shared_state)
    try:
        assert Machine().device == torch.device("cuda")
        assert PartialState._shared_state == before
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
