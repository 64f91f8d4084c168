"""The convolution of repeated pixels against the obvious way to do it."""

import pytest
import torch
import torch.nn.functional as F

from lowshotgan.nets.translation import conv, doubled_conv


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (8, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_doubled_convolution_is_the_convolution_of_repeated_pixels(size, bias):
    torch.manual_seed(0)
    layer, x = conv(3, 4, 5, bias=bias), torch.randn(2, 3, *size, requires_grad=True)
    slow = layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    fast = doubled_conv(x, layer)
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(slow)
    asked = [x, *layer.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(fast, asked, weights), torch.autograd.grad(slow, asked, weights), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
