"""One thread per process: the tests run side by side, and sums are rounded alike on every machine."""

import signal

import pytest
import torch

from lowshotgan.metrics import extractors

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def interrupts_arrive():
    """A shell that runs the tests in the background has SIGINT ignored; the tests of interrupts need Python's handler."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def extractors_are_forgotten():
    """What one file registers leads the choice of "auto" in no other."""
    known = list(extractors._REGISTERED)
    yield
    extractors._REGISTERED[:] = known
