"""Memory of a process, on systems with and without the Unix module for it."""

import sys

import pytest
import torch

from lowshotgan.train.estimate import peak_memory

pytest.importorskip("psutil")  # comes with accelerate; loaded before the Unix module is hidden from it


@pytest.mark.parametrize("unix", [True, False])
def test_memory_of_the_process_is_measured_everywhere(monkeypatch, unix):
    if not unix:
        monkeypatch.setitem(sys.modules, "resource", None)
    assert 20 << 20 < peak_memory(torch.device("cpu")) < 1 << 40
