"""Weights of any floating type draw from float32 inputs."""

import pytest
import torch
from torch import nn

from lowshotgan.errors import ConfigError
from lowshotgan.nets.widening import weight_type, widened


@pytest.mark.parametrize("given", [torch.bfloat16, "bfloat16", "torch.bfloat16"])
def test_a_type_is_given_as_itself_or_as_text(given):
    assert weight_type(given) is torch.bfloat16


@pytest.mark.parametrize("given", ["half", torch.int8, 16, "device"])
def test_other_types_are_refused(given):
    with pytest.raises(ConfigError, match="dtype must be one of bfloat16, float16, float32, float64"):
        weight_type(given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_operations_run_in_the_widest_type_and_gradients_flow(dtype):
    layer = nn.Conv2d(2, 3, 3).to(dtype)
    inputs = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with widened(layer):
        out = layer(inputs)
    assert out.dtype == torch.promote_types(dtype, torch.float32)
    assert torch.equal(out, nn.functional.conv2d(inputs.to(out.dtype), layer.weight.to(out), layer.bias.to(out)))
    out.sum().backward()
    assert layer.weight.grad.dtype == dtype and inputs.grad.abs().sum() > 0


def test_sums_do_not_overflow_float16():
    layer = nn.Linear(400, 1, bias=False).half()
    nn.init.constant_(layer.weight, 100.0)
    with widened(layer):
        assert layer(torch.full((1, 400), 100.0)).item() == 4e6  # float16 ends at 65504


def test_running_statistics_are_kept():
    exact, half = nn.BatchNorm2d(2), nn.BatchNorm2d(2).half()
    inputs = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(0)) + 3
    exact(inputs)
    with widened(half):
        half(inputs)
    assert half.running_mean.dtype == torch.float16
    assert torch.allclose(half.running_mean.float(), exact.running_mean, atol=1e-3)


def test_float32_weights_are_left_alone():
    layer = nn.Linear(2, 2)
    with widened(layer), pytest.raises(RuntimeError):
        layer(torch.zeros(1, 2).double())
