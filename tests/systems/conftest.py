"""Tiny paired domains for the systems that learn from pairs."""

import sys
from pathlib import Path

import pytest

from lowshotgan.data.images import to_pil
from lowshotgan.data.synthetic import faces

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import paired_worlds and resuming


@pytest.fixture(scope="session")
def pairs():
    """Ten faces, flat and as lines: ``(source, target)`` as lists of PIL images of 16 pixels."""
    return tuple(to_pil(faces(10, resolution=16, style=style, seed=4)) for style in ("flat", "line"))


@pytest.fixture(scope="session")
def sources():
    """Forty further flat faces of 16 pixels."""
    return to_pil(faces(40, resolution=16, style="flat", seed=9))
