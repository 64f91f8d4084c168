"""One thread per process: the tests run side by side, and sums are rounded alike on every machine."""

import signal

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def interrupts_arrive():
    """A shell that runs the tests in the background has SIGINT ignored; the tests of interrupts need Python's handler."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
