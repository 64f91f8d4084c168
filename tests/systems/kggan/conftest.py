"""Fixtures of the KG-GAN tests; the plain functions behind them are in ``shapes_world``."""

import importlib.util
import sys
from pathlib import Path

import pytest

_path = Path(__file__).with_name("shapes_world.py")
_spec = importlib.util.spec_from_file_location("shapes_world", _path)
shapes_world = sys.modules.setdefault("shapes_world", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(shapes_world)


@pytest.fixture
def model():
    return shapes_world.tiny()


@pytest.fixture(scope="session")
def data():
    return {name: shapes_world.pictures(name, 8) for name in shapes_world.SEEN}
