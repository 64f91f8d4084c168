"""LaDo's networks: parameter counts of the released modules, shapes, initial values, and slow references."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowshotgan.nets.domains import Domains
from lowshotgan.nets.lado import Codes, Encoder, Generator, make_discriminator
from lowshotgan.nets.residual import Down, ResidualDiscriminator, Up


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_those_of_the_release():
    with torch.device("meta"):
        assert count(Encoder(64, code_dim=128)) == 2_019_968
        assert count(Encoder(64, code_dim=64)) == 1_757_696
        assert count(Generator(64, code_dim=192)) == 1_651_587
        assert count(make_discriminator(64)) == 1_677_185


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_shapes_and_ranges(resolution):
    codes = Encoder(resolution, code_dim=6, width=4)(torch.rand(2, 3, resolution, resolution))
    assert codes.mean.shape == codes.log_variance.shape == (2, 6)
    images = Generator(resolution, code_dim=6, width=4)(torch.randn(2, 6))
    assert images.shape == (2, 3, resolution, resolution)
    assert images.abs().max() <= 1
    judge = make_discriminator(resolution, width=4)
    assert judge(images).shape == (2, 1)
    assert [one.shape[-1] for one in judge.maps(images)] == [
        resolution >> n for n in range(1, 99) if resolution >> n >= 4
    ] + [4, 4]


def test_a_sample_is_mean_plus_noise_times_deviation():
    codes = Codes(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 2 * torch.log(torch.tensor(3.0))]]))
    torch.testing.assert_close(codes.sample(torch.tensor([[0.5, -1.0]])), torch.tensor([[1.5, -1.0]]))


def test_up_block_is_what_the_paper_draws():
    torch.manual_seed(0)
    block, x = Up(3, 5), torch.randn(4, 3, 8, 8)
    big = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    main = block.norm2(block.conv2(block.norm1(block.conv1(big)).relu()))
    torch.testing.assert_close(block(x), (main + block.skip(big)).relu())


@pytest.mark.parametrize("first", [True, False])
def test_down_block_is_what_the_paper_draws(first):
    torch.manual_seed(0)
    block, x = Down(3, 5, first=first, spectral=False), torch.randn(4, 3, 8, 8)
    main = block.conv2(block.conv1(x if first else x.relu()).relu())
    expected = F.avg_pool2d(main, 2) + F.avg_pool2d(block.skip(x), 2)
    torch.testing.assert_close(block(x), expected)


def test_every_layer_of_the_discriminator_has_a_spectral_norm_of_one():
    torch.manual_seed(0)
    judge = ResidualDiscriminator([4, 8], flat=1)
    for _ in range(40):
        judge(torch.randn(1, 3, 16, 16))
    layers = [layer for layer in judge.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == 9
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert abs(float(largest) - 1) < 0.02


def test_spectral_norm_stays_float32_under_autocast():
    judge = make_discriminator(16, width=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert judge.blocks[0].conv1.weight.dtype == torch.float32


def test_initial_values():
    torch.manual_seed(0)
    generator = Generator(64, code_dim=192).requires_grad_(False)
    bound = (6 / (192 + 2048)) ** 0.5
    assert 0.99 * bound < generator.project.linear.weight.abs().max() <= bound
    scales = torch.cat([block.norm1.weight for block in generator.blocks])
    assert abs(float(scales.mean()) - 1) < 0.005 and abs(float(scales.std()) - 0.02) < 0.004
    assert torch.equal(generator.project.norm.weight, torch.ones(2048))


def test_a_target_begins_as_a_copy_of_its_source():
    twins = Domains(make_discriminator(16, width=4))
    assert twins.target is None
    twins.adapt()
    with torch.no_grad():
        twins.target.to_logit.bias.add_(1)
    assert not torch.equal(twins.of("source").to_logit.bias, twins.of("target").to_logit.bias)
    assert "target.to_logit.bias" in twins.state_dict()
