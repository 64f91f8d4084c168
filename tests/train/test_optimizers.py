"""Learning rates over a stage."""

import pytest
import torch
from torch import nn

from lowshotgan.train.optimizers import make_adam, set_rate
from lowshotgan.types import ParamGroup


@pytest.mark.parametrize(
    ("options", "progress", "expected"),
    [({}, 0.7, 1.0), ({"final": 0.25}, 0.0, 1.0), ({"final": 0.25}, 0.5, 0.5), ({"final": 0.25}, 1.0, 0.25),
     ({"decay": 0.5}, 0.75, 0.5), ({"decay": 0.5, "final": 0.25}, 0.75, 0.5 * 0.25**0.75)],
)  # fmt: skip
def test_how_the_rate_falls(options, progress, expected):
    group = ParamGroup([nn.Parameter(torch.zeros(1))], lr=0.2, **options)
    optimizer = make_adam(group)
    set_rate(optimizer, group, progress)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2 * expected)
