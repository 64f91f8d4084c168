"""EGSC-IT's networks: published numbers of parameters, a plain implementation, masks and exemplar statistics."""

import pytest
import torch
import torch.nn.functional as F

from lowshotgan.nets.egscit import Discriminator, Encoder, MaskNet, Translator, adapt


def count(parameters) -> int:
    return sum(parameter.numel() for parameter in parameters)


def images(number=2, side=16, seed=0):
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    made = Translator(width=4, levels=3)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.06)
    return made.requires_grad_(False)


def test_the_published_configuration_has_the_published_number_of_parameters():
    with torch.device("meta"):
        net, judge, digits = Translator(), Discriminator(), Translator(levels=1)
    assert count(net.trained()) == 18_017_286
    assert count(net.encoders["a"].parameters()) == count(net.style_encoders["a"].parameters()) == 3_918_976
    assert count(net.drawers["b"].parameters()) == 3_909_507
    assert count(net.shared_encoder.parameters()) == 1_180_160
    assert count(judge.parameters()) == 2_758_849
    assert count(digits.trained()) == 1_053_318
    assert not any(parameter.requires_grad for parameter in net.style_encoders.parameters())


@pytest.mark.parametrize("build", [Translator, MaskNet])
def test_initial_weights_have_the_deviation_asked_for_and_nothing_beyond_two_of_them(build):
    torch.manual_seed(0)
    released, livelier = build(width=8, levels=1), build(width=8, levels=1, deviation=0.1)
    for made, deviation in ((released, 0.02), (livelier, 0.1)):
        weights = torch.cat([value.flatten() for value in made.parameters() if value.ndim == 4])
        assert 0.8 * deviation < weights.std() < 0.95 * deviation and weights.abs().max() <= 2 * deviation
        assert all(bool((value == 0).all()) for value in made.parameters() if value.ndim == 1)


# ---- a plain implementation, written from the layer tables ----


def padded(layer, x, pad, stride=1):
    return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), layer.weight, layer.bias, stride)


def res(block, x):
    return x + padded(block.conv2, padded(block.conv1, x, 1).relu(), 1)


def encode(net, x):
    x = F.leaky_relu(padded(net.stem, x, 3), 0.2)
    for layer in net.down:
        x = F.leaky_relu(padded(layer, x, 1, 2), 0.2)
    for block in net.res:
        x = res(block, x)
    return x


def plain(net, content, exemplar):
    x = res(net.shared_drawer, res(net.shared_encoder, encode(net.encoders["a"], content)))
    style, own = encode(net.style_encoders["b"], exemplar), encode(net.style_encoders["a"], content)
    x = x * (0.5 + 0.5 / (1 + (-own).exp()))
    mean, deviation = x.mean((2, 3), keepdim=True), (x.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    wanted = (style.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    x = wanted * (x - mean) / deviation + style.mean((2, 3), keepdim=True)
    drawer = net.drawers["b"]
    for block in drawer.res:
        x = res(block, x)
    for layer in drawer.up:
        side = 2 * x.shape[2]
        x = F.leaky_relu(F.conv_transpose2d(x, layer.weight, layer.bias, stride=2)[:, :, :side, :side], 0.2)
    return F.conv_transpose2d(x, drawer.to_rgb.weight, drawer.to_rgb.bias).tanh()


def test_translation_agrees_with_a_plain_implementation(net):
    content, exemplar = images(2), images(2, seed=1)
    drawn = net.draw(net.encode(content, "a"), "b", net.mask(content, "a"), net.statistics(exemplar, "b"))
    assert drawn.shape == (2, 3, 16, 16)
    assert (drawn - plain(net, content, exemplar)).abs().max() <= 1e-4


def test_a_mask_net_has_the_encoder_of_a_translator():
    torch.manual_seed(0)
    net, whole = MaskNet(width=4, levels=2), Translator(width=4, levels=2)
    latents = net.encode(images(2), noise=0.0)
    assert latents.shape == (2, 8, 8, 8) and net.draw(latents).shape == (2, 3, 16, 16)
    whole.style_encoders["a"].load_state_dict(net.encoder.state_dict())
    torch.testing.assert_close(whole.mask(images(2), "a"), 0.5 + 0.5 * net.encoder(images(2)).sigmoid())


def test_masks_lie_between_a_half_and_one(net):
    mask = net.mask(images(3), "a")
    assert mask.min() >= 0.5 and mask.max() <= 1 and mask.std() > 0


def test_noise_is_added_to_latents(net):
    clean = net.encode(images(1), "a")
    torch.testing.assert_close(net.encode(images(1), "a", torch.full_like(clean, 0.5)), clean + 0.5)


def test_the_discriminator_pads_like_its_release():
    torch.manual_seed(0)
    judge = Discriminator(4)
    assert judge(images(2, 28)).shape == (2, 1, 2, 2)  # 28, 14, 7, 4, 2
    x = images(2, 28)
    for number, layer in enumerate(judge.down):
        odd = x.shape[2] % 2
        x = F.leaky_relu(F.conv2d(F.pad(x, (1, 1 + odd, 1, 1 + odd)), layer.weight, layer.bias, 2), 0.2)
        x = F.leaky_relu(x if number == 0 else F.instance_norm(x), 0.2)
    expected = F.leaky_relu(F.conv2d(x, judge.head.weight, judge.head.bias), 0.2)
    torch.testing.assert_close(judge(images(2, 28)), expected, atol=1e-5, rtol=1e-4)


def test_standard_statistics_are_those_of_the_exemplar():
    x, style = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8) * 2 + 1
    statistics = torch.stack([style.mean((2, 3)), style.var((2, 3), correction=0)], 1)
    out = adapt(x, statistics, "standard")
    torch.testing.assert_close(out.mean((2, 3)), style.mean((2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out.var((2, 3), correction=0), style.var((2, 3), correction=0), atol=1e-3, rtol=1e-3)
    assert torch.equal(adapt(x, statistics, "none"), x)


def test_the_released_statistics_divide_by_the_variance():
    x = torch.randn(1, 2, 8, 8) * 3
    statistics = torch.tensor([[[2.0, 0.5], [0.25, 4.0]]])
    centred = x - x.mean((2, 3), keepdim=True)
    expected = torch.tensor([2.0, 0.5]).view(1, 2, 1, 1) * centred / x.var((2, 3), correction=0, keepdim=True)
    expected = expected + torch.tensor([0.25, 4.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(adapt(x, statistics, "egscit_code"), expected, atol=1e-5, rtol=1e-4)


def test_an_encoder_of_one_level_keeps_the_size():
    assert Encoder(4, 1)(images(1, 28)).shape == (1, 4, 28, 28)
