"""The tiny trainings of ``tiny_run.py``, loaded once."""

import importlib.util
import sys
from pathlib import Path

import pytest

_path = Path(__file__).with_name("tiny_run.py")
_spec = importlib.util.spec_from_file_location("tiny_run", _path)
_module = importlib.util.module_from_spec(_spec)
sys.modules["tiny_run"] = _module
_spec.loader.exec_module(_module)


@pytest.fixture
def tiny():
    """The module ``tiny_run``; its ``__file__`` is a script to be run in other processes."""
    return _module


@pytest.fixture(scope="session")
def tiny_script() -> str:
    """Path of ``tiny_run.py``."""
    return str(_path)
