"""nets.residual: resampling convolutions are what they replace, with their gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowshotgan.nets.residual import convolve_doubled, double, halve_convolved


@pytest.mark.parametrize(
    ("fused", "plain"),
    [
        (halve_convolved, lambda x, conv: F.avg_pool2d(conv(x), 2)),
        (convolve_doubled, lambda x, conv: conv(double(x))),
    ],
)
def test_resampling_convolutions(fused, plain):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3, padding=1).double()
    found = []
    for function in (fused, plain):
        x = torch.linspace(-1, 1, 2 * 3 * 6 * 8).double().sin().view(2, 3, 6, 8).requires_grad_(True)
        out = function(x, conv)
        found.append((out, *torch.autograd.grad(out.square().sum(), [x, conv.weight, conv.bias])))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
