"""What is measured before a training: time, memory of a process, the faster arithmetic."""

import sys

import pytest
import torch

from lowshotgan.train.estimate import estimate_stage, peak_memory
from lowshotgan.train.machine import Machine
from lowshotgan.train.precision import _seconds
from lowshotgan.types import Phase

pytest.importorskip("psutil")  # comes with accelerate; loaded before the Unix module is hidden from it


@pytest.mark.parametrize("unix", [True, False])
def test_memory_of_the_process_is_measured_everywhere(monkeypatch, unix):
    if not unix:
        monkeypatch.setitem(sys.modules, "resource", None)
    assert 20 << 20 < peak_memory(torch.device("cpu")) < 1 << 40


def test_a_stage_is_timed_in_the_micro_batches_and_the_arithmetic_it_will_be_trained_in(tiny):
    seen = []

    def terms(batch):
        seen.append((len(batch.images), torch.is_autocast_enabled("cpu")))
        return {"loss": batch.images.sum(1)}

    phases = [Phase("fast", "generator", terms, {}), Phase("exact", "generator", terms, {}, fp32=True)]
    stage = tiny.Toy().stage(4, phases=phases)
    estimate_stage(stage, Machine("cpu"), precision="bf16", accumulate=4, repeats=1)
    assert seen == [(2, True), (2, False)]
    assert stage.batches.position == 0


def test_devices_that_queue_their_work_are_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr("torch.accelerator.synchronize", lambda device: waited.append(device.type))
    _seconds("meta", torch.float32, repeats=1)
    assert waited == ["meta", "meta"]
