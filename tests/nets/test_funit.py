"""FUNIT's networks against a plain implementation, the published numbers of parameters, and the order of styles."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowshotgan.errors import ConfigError
from lowshotgan.nets.funit import Discriminator, Generator
from lowshotgan.nets.translation import adain

SMALL = {"width": 4, "content_downs": 2, "class_downs": 3, "code_dim": 6, "mlp_width": 10}


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def images(number=2, side=16, seed=0):
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return Generator(**SMALL)


@pytest.fixture
def judge():
    torch.manual_seed(1)
    return Discriminator(5, width=4, res_blocks=4, cap=8)


def test_the_published_configuration_has_the_published_number_of_parameters():
    with torch.device("meta"):
        generator, judge, larger = Generator(), Discriminator(119), Discriminator(149)
    parts = (generator.class_encoder, generator.content_encoder, generator.decoder, generator.mlp)
    assert count(generator) == 29_866_435
    assert [count(part) for part in parts] == [2_779_328, 12_202_112, 13_749_891, 1_135_104]
    assert len(list(generator.parameters())) == 50
    assert (count(judge), count(judge.head), count(larger)) == (54_252_599, 121_975, 54_283_349)
    assert len(judge.state_dict()) == 48


def test_the_small_configuration_of_the_calibration_run_has_its_number_of_parameters():
    generator = Generator(width=12, content_downs=2, class_downs=3, code_dim=32, mlp_width=64)
    assert count(generator) == 323_563
    assert count(Discriminator(60, width=12, res_blocks=6, cap=96)) == 150_144


# ---- a plain implementation, written from the layer tables ----


def padded(layer, x, pad, stride=1):
    return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), layer.weight, layer.bias, stride)


def normalised(x):
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) / (x.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()


def plain_generator(net, content, exemplars):
    y = padded(net.class_encoder.stem, exemplars, 3).relu()
    for layer in net.class_encoder.down:
        y = padded(layer, y, 1, 2).relu()
    code = F.conv2d(y.mean((2, 3), keepdim=True), net.class_encoder.head.weight, net.class_encoder.head.bias)
    z = code.flatten(1).mean(0)
    for layer in net.mlp[:-1]:
        z = (layer.weight @ z + layer.bias).relu()
    p = net.mlp[-1].weight @ z + net.mlp[-1].bias
    x = normalised(padded(net.content_encoder.stem.conv, content, 3)).relu()
    for layer in net.content_encoder.down:
        x = normalised(padded(layer.conv, x, 1, 2)).relu()
    for block in net.content_encoder.res:
        h = normalised(padded(block.conv1.conv, x, 1)).relu()
        x = x + normalised(padded(block.conv2.conv, h, 1))
    width = x.shape[1]
    for number, block in enumerate(net.decoder.res):
        parts = p[number * 4 * width : (number + 1) * 4 * width].view(4, width, 1, 1)
        h = (normalised(padded(block.conv1, x, 1)) * parts[1] + parts[0]).relu()
        x = x + normalised(padded(block.conv2, h, 1)) * parts[3] + parts[2]
    for layer in net.decoder.up:
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = normalised(padded(layer, x, 2)).relu()
    return padded(net.decoder.to_rgb, x, 3).tanh()


def plain_judge(net, x, labels, *, in_place):
    """The release in its own words: with ``in_place`` activations overwrite what they are given."""
    act = nn.LeakyReLU(0.2, inplace=in_place)
    x = padded(net.trunk.stem, x, 3)
    for number, blocks in enumerate(net.trunk.stage):
        x = F.avg_pool2d(F.pad(x, (1,) * 4, mode="reflect"), 3, 2) if number else x
        for block in blocks:
            shortcut = x if block.shortcut is None else F.conv2d(x, block.shortcut.weight)
            change = padded(block.conv1, act(padded(block.conv0, act(x), 1)), 1)
            x = shortcut + change
    features = x
    logits = F.conv2d(act(x), net.head.weight, net.head.bias)
    return torch.stack([logits[row, label] for row, label in enumerate(labels)]), features


@torch.no_grad()
def test_the_generator_agrees_with_a_plain_implementation(generator):
    content, exemplars = images(2), images(5, seed=1)
    code = generator.encode(exemplars).mean(0, keepdim=True)
    drawn = generator(content, code)
    assert drawn.shape == (2, 3, 16, 16)
    assert (drawn - plain_generator(generator, content, exemplars)).abs().max() <= 1e-4
    assert generator(images(1, 24), code).shape == (1, 3, 24, 24)


@pytest.mark.parametrize("dialect", ["official", "clean"])
@torch.no_grad()
def test_the_discriminator_agrees_with_a_plain_implementation_of_its_dialect(judge, dialect):
    ours = Discriminator(5, width=4, res_blocks=4, cap=8, dialect=dialect)
    ours.load_state_dict(judge.state_dict())
    labels = torch.tensor([3, 0])
    logits, features = ours(images(2), labels)
    expected = plain_judge(judge, images(2), labels, in_place=dialect == "official")
    assert logits.shape == (2, 8, 8) and features.shape == (2, 8, 8, 8)
    torch.testing.assert_close(logits, expected[0], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(features, expected[1], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(ours.features(images(2)), features)


def test_the_dialects_differ(judge):
    clean = Discriminator(5, width=4, res_blocks=4, cap=8, dialect="clean")
    clean.load_state_dict(judge.state_dict())
    labels = torch.tensor([0, 1])
    assert (clean(images(2), labels)[0] - judge(images(2), labels)[0]).abs().max() > 1e-2


# ---- styles ----


def test_shifts_stand_before_scales(generator):
    last, channels = generator.mlp[-1], generator.decoder.channels
    style = torch.zeros(4, 2, channels)
    style[:, 1] = 1
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(style.flatten())
        block, x = generator.decoder.res[0], torch.randn(1, channels, 4, 4)
        plain = x + normalised(F.conv2d(F.pad(
            normalised(padded(block.conv1, x, 1)).relu(), (1,) * 4, mode="reflect"), block.conv2.weight, block.conv2.bias
        ))  # fmt: skip
        styles = generator.style(torch.randn(1, 6))
        torch.testing.assert_close(block(x, styles[:, 0], styles[:, 1]), plain, atol=1e-5, rtol=1e-4)
        before = generator(images(1), torch.zeros(1, 6))
        last.bias.copy_(style.flip(1).flatten())
        assert (generator(images(1), torch.zeros(1, 6)) - before).abs().max() > 1e-2


def test_adain_sets_mean_and_deviation():
    x = torch.randn(2, 3, 8, 8)
    scale, shift = torch.tensor([[2.0, 0.0, -1.0]] * 2), torch.tensor([[0.5, 1.0, 0.0]] * 2)
    out = adain(x, scale, shift)
    torch.testing.assert_close(out.mean((2, 3)), shift, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out.std((2, 3), correction=0), scale.abs(), atol=1e-3, rtol=1e-3)
    assert (x[:, 2] * out[:, 2]).mean() < 0


@torch.no_grad()
def test_one_code_serves_a_batch_and_the_class_is_a_mean(generator):
    code = generator.encode(images(1))
    torch.testing.assert_close(generator(images(3), code), generator(images(3), code.expand(3, -1)))
    same = generator.encode(images(1).expand(4, -1, -1, -1)).mean(0, keepdim=True)
    torch.testing.assert_close(same, code, atol=1e-5, rtol=1e-5)
    several = images(4, seed=2)
    torch.testing.assert_close(generator.encode(several).mean(0), generator.encode(several.flip(0)).mean(0))


def test_only_the_outputs_of_the_labels_get_a_gradient(judge):
    logits, _ = judge(images(3), torch.tensor([1, 3, 1]))
    logits.sum().backward()
    touched = judge.head.weight.grad.flatten(1).abs().sum(1) > 0
    assert touched.tolist() == [False, True, False, True, False]


def test_an_odd_number_of_blocks_and_an_unknown_dialect_are_refused():
    with pytest.raises(ConfigError, match="even"):
        Discriminator(3, res_blocks=5)
    with pytest.raises(ConfigError, match="clean"):
        Discriminator(3, dialect="cleen")
