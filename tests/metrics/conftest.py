"""Shared inputs: a tiny extractor of random weights, and images of drawn faces."""

import pytest
import torch
from torch import Tensor

from lowshotgan.data.synthetic import faces
from lowshotgan.metrics.extractors import Extractor, extractor_from_module
from lowshotgan.nets.features import FeatureNet


@pytest.fixture(scope="session")
def tiny() -> Extractor:
    """A FeatureNet of random weights, 32 px."""
    torch.manual_seed(0)
    return extractor_from_module(FeatureNet(widths=(8, 8, 16, 16)), name="tiny", size=32)


@pytest.fixture(scope="session")
def drawings() -> Tensor:
    """``(120, 3, 32, 32)`` uint8."""
    return faces(120, resolution=32, seed=3)
