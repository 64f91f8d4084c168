"""FastGAN: sizes of the paper, shapes, names, a slow reference of its blocks, and its own statistics."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.nets.batch_norm import batch_statistics, recompute_batch_norm
from lowshotgan.nets.fastgan import Discriminator, Generator, quarter, shrink, small_side
from lowshotgan.nets.fastgan_blocks import DownBlockComp, SkipGate, UpBlockComp

SIDES = [32, 64, 128, 256, 512, 1024]


def millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(64, z_dim=16, width=2)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.shape == (1,):  # noise weights
                parameter.fill_(0.5)
            elif name.endswith("original"):
                parameter.add_(0.05 * torch.randn_like(parameter))
    return network.requires_grad_(False)


# ---- sizes ----


def test_parameter_counts_at_256():
    assert millions(Generator(256)) == pytest.approx(29.13, abs=0.005)
    assert millions(Discriminator(256)) == pytest.approx(11.53, abs=0.005)


@pytest.mark.parametrize("resolution", SIDES)
@torch.no_grad()
def test_every_size_builds_and_runs(resolution):
    generator, discriminator = Generator(resolution, z_dim=8, width=1), Discriminator(resolution, width=1)
    big, small = generator(torch.randn(2, 8), return_small=True)
    assert big.shape == (2, 3, resolution, resolution)
    assert small.shape == (2, 3, small_side(resolution), small_side(resolution))
    logits, decoded = discriminator(big, small, quadrant=3)
    assert logits.shape == (2, 50)
    side = min(resolution, 128)
    assert {name: tuple(image.shape) for name, image in decoded.items()} == dict.fromkeys(
        ("big", "small", "part"), (2, 3, side, side)
    )


@pytest.mark.parametrize(
    ("resolution", "generator_gates", "discriminator_gates"),
    [
        (32, {"se_32"}, set()),
        (64, {"se_32", "se_64"}, {"se_8_64"}),
        (128, {"se_32", "se_64", "se_128"}, {"se_4_32", "se_8_64"}),
        (256, {"se_64", "se_128", "se_256"}, {"se_2_16", "se_4_32", "se_8_64"}),
        (1024, {"se_64", "se_128", "se_256", "se_512"}, {"se_2_16", "se_4_32", "se_8_64"}),
    ],
)
def test_skip_gates_of_each_size(resolution, generator_gates, discriminator_gates):
    generator, discriminator = Generator(resolution, width=1), Discriminator(resolution, width=1)
    assert {name for name, _ in generator.named_children() if name.startswith("se_")} == generator_gates
    assert {name for name, _ in discriminator.named_children() if name.startswith("se_")} == discriminator_gates


@pytest.mark.parametrize("resolution", [16, 96, 2048])
def test_other_sizes_are_refused(resolution):
    with pytest.raises(ConfigError, match="power of two"):
        Generator(resolution)
    with pytest.raises(ConfigError, match="power of two"):
        Discriminator(resolution)


RELEASED_GENERATOR = """
init.init.0.weight_orig init.init.0.weight_u init.init.0.weight_v init.init.1.running_mean
feat_8.1.weight_orig feat_8.2.weight feat_8.3.bias feat_8.5.weight_v feat_8.6.weight feat_8.7.weight
feat_16.1.weight_orig feat_16.2.weight se_64.main.1.weight_orig se_64.main.3.weight_u
to_128.weight_orig to_big.weight_orig
"""
RELEASED_DISCRIMINATOR = """
down_from_big.0.weight_orig rf_big.0.weight_orig rf_big.1.weight rf_big.3.weight_orig
down_4.main.0.weight_orig down_4.main.4.bias down_4.direct.1.weight_orig down_4.direct.2.weight
se_2_16.main.1.weight_orig down_from_small.0.weight_orig down_from_small.2.main.0.weight_orig
rf_small.weight_orig decoder_big.main.1.1.weight_orig decoder_part.main.5.weight_orig
"""


@pytest.mark.parametrize(
    ("network", "names"), [(Generator, RELEASED_GENERATOR), (Discriminator, RELEASED_DISCRIMINATOR)]
)
def test_names_differ_from_the_original_release_only_by_the_spectral_norm(network, names):
    assert set(names.split()) <= set(map(as_released, network(256, width=1).state_dict()))


def as_released(name: str) -> str:
    for ours, theirs in (("original", "orig"), ("0._u", "u"), ("0._v", "v")):
        name = name.replace(f"parametrizations.weight.{ours}", f"weight_{theirs}")
    return name


# ---- blocks against plain code ----


def normalized(layer: nn.Module) -> torch.Tensor:
    """The weight divided by its largest singular value."""
    weight = layer.parametrizations.weight.original.detach()
    flat = (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)
    return weight / torch.linalg.matrix_norm(flat, ord=2)


def batch_normed(x: torch.Tensor, layer: nn.BatchNorm2d) -> torch.Tensor:
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    x = (x - mean) / (variance + layer.eps).sqrt()
    return x * layer.weight[:, None, None] + layer.bias[:, None, None]


def gated(x: torch.Tensor) -> torch.Tensor:
    half = x.shape[1] // 2
    return x[:, :half] * torch.sigmoid(x[:, half:])


def settle(block: nn.Module) -> nn.Module:
    """Run the power iterations until the spectral norm is exact."""
    with torch.no_grad():
        for layer in block.modules():
            if nn.utils.parametrize.is_parametrized(layer):
                for _ in range(200):
                    _ = layer.weight
    return block


@torch.no_grad()
def test_up_block_by_hand():
    torch.manual_seed(0)
    block = settle(UpBlockComp(4, 3, 8))
    block[2].weight.fill_(0.3)
    block[6].weight.fill_(-0.2)
    x, noises = torch.randn(2, 4, 4, 4), [torch.randn(2, 1, 8, 8), torch.randn(2, 1, 8, 8)]
    y = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    y = F.conv2d(y, normalized(block[1]), padding=1) + 0.3 * noises[0]
    y = gated(batch_normed(y, block[3]))
    y = F.conv2d(y, normalized(block[5]), padding=1) - 0.2 * noises[1]
    torch.testing.assert_close(block(x, noises), gated(batch_normed(y, block[7])), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_down_block_by_hand():
    torch.manual_seed(0)
    block = settle(DownBlockComp(3, 5))
    x = torch.randn(2, 3, 8, 8)
    main = F.leaky_relu(batch_normed(F.conv2d(x, normalized(block.main[0]), stride=2, padding=1), block.main[1]), 0.2)
    main = F.leaky_relu(batch_normed(F.conv2d(main, normalized(block.main[3]), padding=1), block.main[4]), 0.2)
    direct = F.conv2d(F.avg_pool2d(x, 2), normalized(block.direct[1]))
    direct = F.leaky_relu(batch_normed(direct, block.direct[2]), 0.2)
    torch.testing.assert_close(block(x), (main + direct) / 2, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_skip_gate_by_hand():
    torch.manual_seed(0)
    gate = settle(SkipGate(3, 5))
    x = torch.randn(2, 3, 8, 8)
    pooled = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    y = torch.einsum("bihw,oihw->bo", pooled, normalized(gate.main[1]))
    y = torch.sigmoid((y * torch.sigmoid(y)) @ normalized(gate.main[3])[:, :, 0, 0].T)
    torch.testing.assert_close(gate(x), y[:, :, None, None], atol=1e-4, rtol=1e-4)
    assert gate(x).min() > 0
    assert gate(x).max() < 1


def test_initial_weights_follow_the_paper():
    torch.manual_seed(0)
    generator = Generator(64, z_dim=32, width=8)
    weight = generator.feat_8[1].parametrizations.weight.original.detach()
    assert float(weight.std()) == pytest.approx(0.02, rel=0.05)
    assert float(generator.init.init[1].weight.detach().mean()) == pytest.approx(1.0, abs=0.01)
    assert not generator.init.init[1].bias.any()
    assert not generator.feat_8[2].weight.any()
    convolutions = [layer for layer in generator.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert all(layer.bias is None for layer in convolutions)


def test_tanh_bounds_everywhere_or_only_at_1024():
    assert [Generator(side, width=1, tanh="official").tanh for side in (64, 512, 1024)] == [False, False, True]
    assert Generator(64, width=1).tanh
    with pytest.raises(ConfigError, match="everywhere, official"):
        Generator(64, tanh="never")


# ---- noise and statistics ----


def test_noise_is_fixed_or_fresh_as_asked(generator):
    network = copy.deepcopy(generator).eval()
    z = torch.randn(2, 16)
    for noise in ("const", "none"):
        assert torch.equal(network(z, noise=noise), network(z, noise=noise))
    assert not torch.equal(network(z, noise="random"), network(z, noise="random"))
    assert not torch.equal(network(z, noise="const"), network(z, noise="none"))
    drawn = network.draw_noise(2, Draws(0))
    assert [tuple(one.shape) for one in drawn] == [(2, 1, *shape) for shape in network.noise_shapes()]
    assert network.noise_shapes() == [(8, 8), (8, 8), (32, 32), (32, 32)]
    assert torch.equal(network(z, noise=drawn), network(z, noise=drawn))


def test_recomputed_statistics_make_an_image_independent_of_its_batch(generator):
    network = copy.deepcopy(generator)
    z = torch.randn(16, 16, generator=torch.Generator().manual_seed(1))
    network.train()
    alone_before, together_before = network(z[:1]), network(z)[:1]
    assert (alone_before - together_before).abs().max() > 1e-2  # the upstream failure
    recompute_batch_norm(network, z_dim=16, samples=200, batch_size=50)
    assert not any(module.training for module in network.modules())
    together = network(z)
    for i in (0, 7, 15):
        assert (network(z[i : i + 1]) - together[i : i + 1]).abs().max() <= 1e-5


def test_recomputed_statistics_are_those_of_the_generated_maps(generator):
    network = copy.deepcopy(generator)
    recompute_batch_norm(network, z_dim=16, samples=256, batch_size=64, seed=5)
    draws = torch.Generator().manual_seed(5)
    latents = torch.cat([torch.randn(64, 16, generator=draws) for _ in range(4)])
    expected = network.init.init[0](latents[:, :, None, None]).mean((0, 2, 3))
    torch.testing.assert_close(network.init.init[1].running_mean, expected, atol=1e-5, rtol=1e-4)
    big_batch = torch.randn(256, 16, generator=torch.Generator().manual_seed(6))
    with batch_statistics(network):
        by_batch = network(big_batch)
    assert (by_batch - network(big_batch)).abs().mean() < 0.1 * by_batch.std()


def test_recomputing_twice_gives_the_same_statistics(generator):
    one, two = copy.deepcopy(generator), copy.deepcopy(generator)
    torch.manual_seed(1)
    recompute_batch_norm(one, z_dim=16, samples=40, batch_size=20)
    torch.manual_seed(2)
    recompute_batch_norm(two, z_dim=16, samples=40, batch_size=20)
    twin = two.state_dict()
    assert all(torch.equal(value, twin[name]) for name, value in one.state_dict().items())
    assert one.init.init[1].momentum == 0.1


def test_spectral_norms_fit_averaged_weights_after_recomputing(generator):
    network = copy.deepcopy(generator)
    with torch.no_grad():
        network.feat_8[1].parametrizations.weight.original.copy_(
            torch.randn_like(network.feat_8[1].parametrizations.weight.original)
        )
    recompute_batch_norm(network, z_dim=16, samples=4, batch_size=2)
    largest = torch.linalg.matrix_norm(network.feat_8[1].weight.flatten(1), ord=2)
    assert float(largest) == pytest.approx(1.0, abs=0.05)


def test_batch_statistics_leave_the_model_as_it_was(generator):
    network = copy.deepcopy(generator).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    z = torch.randn(4, 16)
    stored = network(z)
    with batch_statistics(network):
        assert not torch.equal(network(z), stored)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(network(z), stored)


@pytest.mark.parametrize("options", [{"samples": 1}, {"batch_size": 1}])
def test_too_few_samples_for_statistics_are_refused(generator, options):
    with pytest.raises(ConfigError, match="at least 2"):
        recompute_batch_norm(copy.deepcopy(generator), z_dim=16, **options)


# ---- discriminator ----


def test_small_image_defaults_to_the_averaged_big_one():
    torch.manual_seed(0)
    discriminator = Discriminator(64, width=2).eval()
    big = torch.randn(2, 3, 64, 64)
    small = big.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    torch.testing.assert_close(discriminator(big), discriminator(big, small))
    torch.testing.assert_close(shrink(big, 32), small)


def test_quadrants_are_numbered_row_by_row():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert [quarter(x, i).flatten().tolist() for i in range(4)] == [
        [0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15],
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="0, 1, 2 or 3"):
        quarter(x, 4)


def test_every_parameter_of_both_networks_is_trained():
    torch.manual_seed(0)
    generator, discriminator = Generator(64, z_dim=8, width=2), Discriminator(64, width=2)
    big, small = generator(torch.randn(4, 8), noise="random", return_small=True)
    logits, decoded = discriminator(big, small, quadrant=1)
    (logits.sum() + sum(image.sum() for image in decoded.values())).backward()
    for network in (generator, discriminator):
        assert not [name for name, parameter in network.named_parameters() if parameter.grad is None]


def test_wrong_shapes_say_what_is_expected(generator):
    with pytest.raises(ConfigError, match=r"\(B, 16\)"):
        generator(torch.zeros(2, 7))
    with pytest.raises(ConfigError, match="needs 4 maps"):
        generator(torch.zeros(2, 16), noise=[torch.zeros(2, 1, 8, 8)])
    with pytest.raises(ConfigError, match=r"\(B, 3, 64, 64\)"):
        Discriminator(64, width=2)(torch.zeros(2, 3, 32, 32))
