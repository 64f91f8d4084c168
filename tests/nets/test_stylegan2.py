"""StyleGAN2 against a slow reference: zero insertion, one kernel per sample, no folded gains."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.nets.layers import EqualConv2d, MinibatchStd, ModulatedConv2d
from lowshotgan.nets.stylegan2 import Discriminator, Generator, channels_at

State = dict[str, Tensor]
COMPACT = {"z_dim": 256, "w_dim": 256, "mapping_layers": 4}
TAPS = [1.0, 3.0, 3.0, 1.0]


# ---- the reference, in float64 ----


def insert_zeros(x: Tensor) -> Tensor:
    """``(B, C, H, W) -> (B, C, 2H, 2W)`` with each pixel followed by a zero."""
    batch, channels, height, width = x.shape
    out = x.new_zeros(batch, channels, 2 * height, 2 * width)
    out[:, :, ::2, ::2] = x
    return out


def resample(x: Tensor, before: int, after: int, gain: float) -> Tensor:
    """Pad, then correlate with the 4x4 filter tap by tap."""
    x = F.pad(x, (before, after, before, after))
    height, width = x.shape[2] - 3, x.shape[3] - 3
    out = torch.zeros_like(x[:, :, :height, :width])
    for i in range(4):
        for j in range(4):
            out = out + TAPS[i] * TAPS[j] / 64.0 * gain * x[:, :, i : i + height, j : j + width]
    return out


def transposed_conv(x: Tensor, kernel: Tensor) -> Tensor:
    """Stride 2, no padding: every input pixel stamps the kernel ``(O, I, 3, 3)``; ``H -> 2H + 1``."""
    height, width = x.shape[2:]
    out = x.new_zeros(len(x), len(kernel), 2 * height + 1, 2 * width + 1)
    for i in range(3):
        for j in range(3):
            stamped = torch.einsum("bihw,oi->bohw", x, kernel[:, :, i, j])
            out[:, :, i : i + 2 * height : 2, j : j + 2 * width : 2] += stamped
    return out


def act(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x) * math.sqrt(2.0)


def linear(state: State, name: str, x: Tensor, lr_mul: float = 1.0) -> Tensor:
    weight = state[f"{name}.weight"] * lr_mul / math.sqrt(x.shape[1])
    return x @ weight.T + state[f"{name}.bias"] * lr_mul


def modulated(state: State, name: str, x: Tensor, w: Tensor, *, up: bool = False, demod: bool = True) -> Tensor:
    weight = state[f"{name}.conv.weight"]
    weight = weight / math.sqrt(weight[0].numel())
    styles = linear(state, f"{name}.affine", w)
    outputs = []
    for sample, style in zip(x, styles, strict=True):
        kernel = weight * style[None, :, None, None]
        if demod:
            kernel = torch.stack([k / torch.sqrt((k**2).sum() + 1e-8) for k in kernel])
        if up:
            outputs.append(resample(transposed_conv(sample[None], kernel), 1, 1, 4.0))
        else:
            outputs.append(F.conv2d(sample[None], kernel, padding=kernel.shape[-1] // 2))
    return torch.cat(outputs)


def styled(state: State, name: str, x: Tensor, w: Tensor, noise: Tensor, *, up: bool = False) -> Tensor:
    x = modulated(state, name, x, w, up=up) + state[f"{name}.noise_strength"] * noise
    return act(x + state[f"{name}.bias"][:, None, None])


def reference_mapping(state: State, z: Tensor, layers: int) -> Tensor:
    x = z / torch.sqrt((z**2).mean(dim=1, keepdim=True) + 1e-8)
    for i in range(layers):
        x = act(linear(state, f"mapping.fc{i}", x, lr_mul=0.01))
    return x


def reference_synthesis(
    state: State, ws: Tensor, noises: list[Tensor], resolution: int
) -> tuple[Tensor, list[Tensor]]:
    x = state["synthesis.b4.const"].expand(len(ws), -1, -1, -1)
    x = styled(state, "synthesis.b4.conv1", x, ws[:, 0], noises[0])
    maps = [x]
    image = torgb(state, "synthesis.b4.torgb", x, ws[:, 1])
    for k in range(3, int(math.log2(resolution)) + 1):
        block = f"synthesis.b{2**k}"
        x = styled(state, f"{block}.conv0", x, ws[:, 2 * k - 5], noises[2 * k - 5], up=True)
        maps.append(x)
        x = styled(state, f"{block}.conv1", x, ws[:, 2 * k - 4], noises[2 * k - 4])
        maps.append(x)
        image = resample(insert_zeros(image), 2, 1, 4.0) + torgb(state, f"{block}.torgb", x, ws[:, 2 * k - 3])
    return image, maps


def torgb(state: State, name: str, x: Tensor, w: Tensor) -> Tensor:
    return modulated(state, name, x, w, demod=False) + state[f"{name}.bias"][:, None, None]


def plain_conv(state: State, name: str, x: Tensor, *, pad: int) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight / math.sqrt(weight[0].numel()), padding=pad)


def biased(state: State, name: str, x: Tensor) -> Tensor:
    return act(x + state[f"{name}.bias"][:, None, None])


def reference_deviation(x: Tensor) -> Tensor:
    batch = len(x)
    size = max(g for g in (1, 2, 3, 4) if batch % g == 0)
    groups = batch // size
    values = x.new_zeros(batch)
    for group in range(groups):
        members = [i for i in range(batch) if i % groups == group]
        chosen = x[members]
        spread = torch.sqrt(((chosen - chosen.mean(0)) ** 2).mean(0) + 1e-8)
        values[members] = spread.mean()
    channel = values[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, channel], dim=1)


def reference_discriminator(state: State, x: Tensor, resolution: int) -> Tensor:
    x = biased(state, f"b{resolution}.fromrgb", plain_conv(state, f"b{resolution}.fromrgb", x, pad=0))
    for k in range(int(math.log2(resolution)), 2, -1):
        block = f"b{2**k}"
        skip = plain_conv(state, f"{block}.skip", resample(x, 1, 1, 1.0)[:, :, ::2, ::2], pad=0)
        x = biased(state, f"{block}.conv0", plain_conv(state, f"{block}.conv0", x, pad=1))
        x = plain_conv(state, f"{block}.conv1", resample(x, 2, 2, 1.0), pad=0)[:, :, ::2, ::2]
        x = (biased(state, f"{block}.conv1", x) + skip) / math.sqrt(2.0)
    x = biased(state, "b4.conv", plain_conv(state, "b4.conv", reference_deviation(x), pad=1))
    x = act(linear(state, "b4.fc", x.reshape(len(x), -1)))
    return linear(state, "b4.out", x)


def randomize(network: torch.nn.Module, seed: int) -> State:
    """Give biases and noise strengths values that matter, and return the state in float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("bias", "noise_strength")):
                lr_mul = 0.01 if "mapping" in name else 1.0
                parameter.add_(0.3 / lr_mul * torch.randn(parameter.shape, generator=generator))
    return {name: value.double() for name, value in network.state_dict().items()}


# ---- parity ----


@pytest.mark.parametrize("mapping_layers", [2, 8])
@pytest.mark.parametrize("resolution", [16, 32, 64])
@pytest.mark.parametrize("channel_base", [512, 256])
@pytest.mark.parametrize("modulation", ["shared", "grouped"])
def test_generator_equals_the_reference(resolution, channel_base, mapping_layers, modulation):
    torch.manual_seed(0)
    generator = Generator(
        resolution, z_dim=24, w_dim=32, mapping_layers=mapping_layers, channel_base=channel_base, channel_max=16,
        modulation=modulation,
    )  # fmt: skip
    state = randomize(generator, seed=1)
    z = torch.randn(3, 24)
    noises = generator.synthesis.draw_noise(3, Draws(2))
    w = generator.mapping(z)
    expected_w = reference_mapping(state, z.double(), mapping_layers)
    torch.testing.assert_close(w, expected_w.float(), atol=1e-5, rtol=1e-5)

    ws = torch.randn(3, generator.num_ws, 32)
    image, maps = generator.synthesis(ws, noise=noises, return_features=True)
    expected, expected_maps = reference_synthesis(state, ws.double(), [n.double() for n in noises], resolution)
    assert image.shape == (3, 3, resolution, resolution)
    assert (image - expected).abs().max() < 1e-4
    assert len(maps) == len(expected_maps) == 2 * int(math.log2(resolution)) - 3
    for ours, theirs in zip(maps, expected_maps, strict=True):
        torch.testing.assert_close(ours, theirs.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("resolution", [16, 32, 64])
@pytest.mark.parametrize("channel_base", [512, 256])
def test_discriminator_equals_the_reference(resolution, channel_base):
    torch.manual_seed(0)
    discriminator = Discriminator(resolution, channel_base=channel_base, channel_max=16)
    state = randomize(discriminator, seed=1)
    for batch in (1, 3, 8):
        images = torch.randn(batch, 3, resolution, resolution)
        logits = discriminator(images)
        assert logits.shape == (batch, 1)
        assert (logits - reference_discriminator(state, images.double(), resolution)).abs().max() < 1e-4


def test_discriminator_features_are_named_from_the_image_down():
    _, features = Discriminator(16, channel_base=128, channel_max=8)(torch.randn(2, 3, 16, 16), return_features=True)
    shapes = {name: tuple(value.shape) for name, value in features.items()}
    assert shapes == {
        "b16.conv0": (2, 8, 16, 16), "b16.conv1": (2, 8, 8, 8),
        "b8.conv0": (2, 8, 8, 8), "b8.conv1": (2, 8, 4, 4),
        "b4.conv": (2, 8, 4, 4), "b4.fc": (2, 8),
    }  # fmt: skip


# ---- modulated convolution ----


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [True, False])
def test_both_forms_of_modulation_agree_in_value_and_derivatives(up, demodulate):
    torch.manual_seed(0)
    shared = ModulatedConv2d(6, 5, 3, up=up, demodulate=demodulate).double()
    grouped = ModulatedConv2d(6, 5, 3, up=up, demodulate=demodulate, modulation="grouped").double()
    grouped.load_state_dict(shared.state_dict())
    x = torch.randn(3, 6, 8, 8, dtype=torch.double, requires_grad=True)
    style = (torch.randn(3, 6, dtype=torch.double) + 1).requires_grad_(True)
    probe = torch.randn_like(shared(x, style))

    def derivatives(layer):
        out = layer(x, style)
        inputs = (x, style, layer.weight)
        first = torch.autograd.grad((out * probe).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), inputs)
        return [value.detach() for value in (out, *first, *second)]

    for ours, theirs in zip(derivatives(shared), derivatives(grouped), strict=True):
        scale = max(1.0, float(theirs.abs().max()))
        assert (ours - theirs).abs().max() / scale < 1e-5


def test_both_forms_of_modulation_agree_in_float32():
    torch.manual_seed(0)
    shared, grouped = ModulatedConv2d(16, 16, 3), ModulatedConv2d(16, 16, 3, modulation="grouped")
    grouped.load_state_dict(shared.state_dict())
    x, style = torch.randn(4, 16, 16, 16), torch.randn(4, 16) + 1
    torch.testing.assert_close(shared(x, style, 1.5), grouped(x, style, 1.5), atol=1e-5, rtol=1e-5)


def test_demodulated_output_has_unit_variance():
    torch.manual_seed(0)
    layer = ModulatedConv2d(64, 64, 3)
    out = layer(torch.randn(8, 64, 32, 32), torch.rand(8, 64) * 4 + 0.1)
    inner = out[:, :, 1:-1, 1:-1]
    assert inner.std(dim=(1, 2, 3)).sub(1).abs().max() < 0.05


def test_demodulation_stays_exact_under_autocast():
    torch.manual_seed(0)
    layer, style = ModulatedConv2d(64, 64, 3), torch.rand(8, 64) * 4 + 0.1
    exact = layer._demodulation(layer.weight, style)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer._demodulation(layer.weight, style), exact)


# ---- resampling and deviation ----


def test_down_convolutions_keep_a_constant_image_constant_inside():
    layer = EqualConv2d(1, 1, 1, bias=False, activate=False, down=2)
    torch.nn.init.ones_(layer.weight)
    out = layer(torch.ones(1, 1, 16, 16))
    assert out.shape == (1, 1, 8, 8)
    torch.testing.assert_close(out[:, :, 1:-1, 1:-1], torch.ones(1, 1, 6, 6))


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12])
def test_minibatch_deviation_groups(batch):
    x = torch.randn(batch, 3, 4, 4, generator=torch.Generator().manual_seed(batch))
    torch.testing.assert_close(MinibatchStd()(x), reference_deviation(x), atol=1e-6, rtol=1e-5)


def test_minibatch_deviation_by_hand():
    x = torch.zeros(4, 1, 1, 1)
    x[:, 0, 0, 0] = torch.tensor([1.0, 3.0, 1.0, 3.0])
    out = MinibatchStd()(x)
    assert out.shape == (4, 2, 1, 1)
    torch.testing.assert_close(out[:, 1], torch.ones(4, 1, 1))


def test_minibatch_deviation_is_the_same_for_two_processes_that_take_every_second_sample():
    x = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = MinibatchStd()(x)
    for rank in range(2):
        torch.testing.assert_close(MinibatchStd()(x[rank::2]), whole[rank::2])


# ---- sizes ----


def millions(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.mark.parametrize(
    ("resolution", "options", "generator", "discriminator"),
    [
        (64, {"channel_base": 32768}, 27.03, 26.49),
        (256, {"channel_base": 32768}, 30.03, 28.86),
        (256, {"channel_base": 16384}, 24.77, 24.00),
        (64, {"channel_base": 4096, "channel_max": 128, **COMPACT}, 1.84, 1.47),
        (64, {"channel_base": 2048, "channel_max": 64, **COMPACT}, 0.77, 0.37),
    ],
)
def test_parameter_counts(resolution, options, generator, discriminator):
    widths = {name: value for name, value in options.items() if name.startswith("channel")}
    with torch.device("meta"):
        assert millions(Generator(resolution, **options)) == pytest.approx(generator, abs=0.0051)
        assert millions(Discriminator(resolution, **widths)) == pytest.approx(discriminator, abs=0.0051)


def test_channels_of_both_official_widths():
    sides = [4, 32, 64, 128, 256, 512, 1024]
    assert [channels_at(side, 32768, 512) for side in sides] == [512, 512, 512, 256, 128, 64, 32]
    assert [channels_at(side, 16384, 512) for side in sides] == [512, 512, 256, 128, 64, 32, 16]


@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128, 256, 512, 1024])
def test_every_power_of_two_builds_and_runs(resolution):
    with torch.device("meta"):
        generator = Generator(resolution, z_dim=16, w_dim=16, mapping_layers=2, channel_base=1024, channel_max=16)
        discriminator = Discriminator(resolution, channel_base=1024, channel_max=16)
        image = generator(torch.zeros(2, 16))
        assert image.shape == (2, 3, resolution, resolution)
        assert discriminator(image).shape == (2, 1)
    assert generator.num_ws == 2 * int(math.log2(resolution)) - 2


@pytest.mark.parametrize("resolution", [0, 4, 48, 2048, 64.0, True])
def test_other_sizes_are_refused(resolution):
    with pytest.raises(ConfigError, match="power of two"):
        Generator(resolution)
    with pytest.raises(ConfigError, match="power of two"):
        Discriminator(resolution)


# ---- behaviour ----


@pytest.fixture(scope="module")
def tiny() -> Generator:
    torch.manual_seed(0)
    generator = Generator(32, z_dim=16, w_dim=24, mapping_layers=2, channel_base=512, channel_max=16)
    randomize(generator, seed=3)
    return generator.eval().requires_grad_(False)


@pytest.mark.parametrize("noise", ["const", "none"])
def test_fixed_noise_gives_the_same_image_twice(tiny, noise):
    z = torch.randn(2, 16)
    assert torch.equal(tiny(z, noise=noise), tiny(z, noise=noise))


def test_the_kinds_of_noise_differ(tiny):
    z = torch.randn(1, 16)
    const, none = tiny(z, noise="const"), tiny(z, noise="none")
    assert not torch.equal(const, none)
    assert not torch.equal(tiny(z, noise="random"), tiny(z, noise="random"))
    stored = [value[None, None] for name, value in tiny.named_buffers() if name.endswith("noise_const")]
    torch.testing.assert_close(tiny(z, noise=stored), const)


def test_an_image_does_not_depend_on_its_batch(tiny):
    z = torch.randn(9, 16)
    together = tiny(z)
    alone = torch.cat([tiny(one[None]) for one in z])
    assert (together - alone).abs().max() <= 1e-5


def test_noise_shapes_follow_the_layers(tiny):
    assert tiny.synthesis.noise_shapes() == [(4, 4), (8, 8), (8, 8), (16, 16), (16, 16), (32, 32), (32, 32)]
    drawn = tiny.synthesis.draw_noise(3, Draws(0))
    assert [tuple(one.shape) for one in drawn] == [(3, 1, *shape) for shape in tiny.synthesis.noise_shapes()]


def test_truncation_moves_towards_the_average(tiny):
    w = torch.randn(4, 24)
    assert torch.equal(tiny.truncate(w, 1.0), w)
    torch.testing.assert_close(tiny.truncate(w, 0.0), tiny.mapping.w_avg.expand(4, -1))
    torch.testing.assert_close(tiny.truncate(w, 0.5), (w + tiny.mapping.w_avg) / 2)


def test_the_average_style_is_tracked():
    mapping = Generator(8, z_dim=4, w_dim=6, mapping_layers=1, channel_base=64, channel_max=8).mapping
    mapping.track(torch.full((5, 6), 2.0))
    torch.testing.assert_close(mapping.w_avg, torch.full((6,), 0.01))


def test_wrong_shapes_say_what_is_expected(tiny):
    with pytest.raises(ConfigError, match=r"\(B, 8, w_dim\)"):
        tiny.synthesis(torch.zeros(1, 3, 24))
    with pytest.raises(ConfigError, match="random, const, none"):
        tiny(torch.zeros(1, 16), noise="loud")
    with pytest.raises(ConfigError, match=r"\(B, 3, 16, 16\)"):
        Discriminator(16, channel_base=128, channel_max=8)(torch.zeros(1, 3, 32, 32))
