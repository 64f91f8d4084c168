"""COCO-FUNIT's networks: published numbers of parameters, a plain implementation, what the style depends on."""

import pytest
import torch
import torch.nn.functional as F

from lowshotgan.nets.coco_funit import Discriminator, Generator

SMALL = {"width": 4, "content_downs": 2, "class_downs": 2, "code_dim": 6, "mlp_width": 10, "bias_dim": 5}


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def images(number=2, side=16, seed=0):
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    made = Generator(**SMALL)
    for parameter in made.parameters():  # also of normalisations, which start at one and zero
        torch.nn.init.normal_(parameter, std=0.3)
    return made.requires_grad_(False)


def test_the_published_configuration_has_the_published_number_of_parameters():
    with torch.device("meta"):
        generator, improved, judge = Generator(), Generator(bias_dim=0, content_aware=False), Discriminator(119)
    parts = (generator.style_encoder, generator.content_encoder, generator.decoder, generator.mlp)
    assert count(generator) == 121_562_307
    assert [count(part) for part in parts] == [3_828_160, 48_917_504, 68_159_107, 82_432]
    assert [count(generator.mlp_content), count(generator.mlp_style)] == [278_848, 295_232]
    assert count(improved) == 120_987_203
    assert count(judge) == 92_008_257


# ---- a plain implementation, written from the layer tables ----


def padded(layer, x, pad, stride=1):
    return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect") if pad else x, layer.weight, layer.bias, stride)


def normalised(x):
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) / (x.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()


def instance(unit, x, pad, stride=1):
    gain, shift = unit.norm.weight.view(1, -1, 1, 1), unit.norm.bias.view(1, -1, 1, 1)
    return (normalised(padded(unit.conv, x, pad, stride)) * gain + shift).relu()


def adaptive(unit, x, style, pad):
    both = style @ unit.affine.weight.T + unit.affine.bias
    width = both.shape[1] // 2
    scale, shift = both[:, :width, None, None], both[:, width:, None, None]
    return (normalised(padded(unit.conv, x, pad)) * (1 + scale) + shift).relu()


def mlp(net, x):
    for layer in net.layers:
        x = (x @ layer.weight.T + layer.bias).relu()
    return x


def twice(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def plain(net, content, exemplars):
    y = padded(net.style_encoder.stem, exemplars, 3).relu()
    for layer in net.style_encoder.down:
        y = padded(layer, y, 1, 2).relu()
    code = F.conv2d(y.mean((2, 3), keepdim=True), net.style_encoder.head.weight, net.style_encoder.head.bias)
    code = code.flatten(1).mean(0, keepdim=True)
    x = instance(net.content_encoder.stem, content, 3)
    for unit in net.content_encoder.down:
        x = instance(unit, x, 1, 2)
    for block in net.content_encoder.res:
        x = x + instance(block.conv2, instance(block.conv1, x, 1), 1)
    rows = []
    for one in x:  # each content by itself
        from_style = mlp(net.mlp_style, torch.cat([code, net.style_bias], 1))
        rows.append(mlp(net.mlp, from_style * mlp(net.mlp_content, one.mean((1, 2))[None])))
    style = torch.cat(rows)
    for block in net.decoder.res:
        x = x + adaptive(block.conv1, adaptive(block.conv0, x, style, 1), style, 1)
    for block in net.decoder.up:
        main = adaptive(block.conv1, twice(adaptive(block.conv0, x, style, 2)), style, 2)
        x = main + adaptive(block.shortcut, twice(x), style, 0)
    return padded(net.decoder.to_rgb, x, 3).tanh()


def test_the_generator_agrees_with_a_plain_implementation(generator):
    content, exemplars = images(2), images(3, seed=1)
    code = generator.encode(exemplars).mean(0, keepdim=True)
    drawn = generator(content, code)
    assert drawn.shape == (2, 3, 16, 16)
    assert (drawn - plain(generator, content, exemplars)).abs().max() <= 1e-4


def test_a_content_changes_its_own_translation_only(generator):
    code, content = generator.encode(images(1, seed=3)), images(3)
    other = content.clone()
    other[1] = images(1, seed=9)[0]
    moved = (generator(content, code) - generator(other, code)).abs().amax((1, 2, 3))
    assert moved[1] > 1e-3 and moved[0] <= 1e-6 and moved[2] <= 1e-6


def test_the_style_depends_on_content_and_on_the_constant(generator):
    layout, code = generator.content_encoder(images(2)), generator.encode(images(1, seed=3))
    style = generator.style(layout, code)
    assert (style[0] - style[1]).abs().max() > 1e-6
    kept = generator.style_bias.clone()
    generator.style_bias.zero_()
    assert (generator.style(layout, code) - style).abs().max() > 1e-6
    generator.style_bias.copy_(kept)
    unaware = Generator(**{**SMALL, "bias_dim": 0}, content_aware=False)
    same = unaware.style(layout, code)
    assert torch.equal(same[0], same[1]) and unaware.mlp_style is None


def test_scales_stand_before_shifts_and_count_from_one(generator):
    unit, x = generator.decoder.res[0].conv0, torch.randn(1, 16, 4, 4)
    kept = [parameter.clone() for parameter in unit.affine.parameters()]
    unit.affine.weight.zero_()
    unit.affine.bias.zero_()
    expected = normalised(padded(unit.conv, x, 1))
    torch.testing.assert_close(unit(x, torch.randn(1, 10)), expected.relu(), atol=1e-5, rtol=1e-4)
    unit.affine.bias[:16] = 0.5
    unit.affine.bias[16:] = -0.25
    torch.testing.assert_close(unit(x, torch.randn(1, 10)), (1.5 * expected - 0.25).relu(), atol=1e-5, rtol=1e-4)
    for parameter, value in zip(unit.affine.parameters(), kept, strict=True):
        parameter.copy_(value)


def test_the_discriminator_projects_classes_on_raw_features():
    torch.manual_seed(0)
    judge = Discriminator(4, width=4, stages=2, cap=8).eval().requires_grad_(False)
    labels = torch.tensor([2, 0])
    logits, features = judge(images(2), labels)
    assert logits.shape == (2, 8, 8) and features.shape == (2, 8, 8, 8)
    x = padded(judge.trunk.stem, images(2), 3)
    for number, blocks in enumerate(judge.trunk.stage):
        x = F.avg_pool2d(F.pad(x, (1,) * 4, mode="reflect"), 3, 2) if number else x
        for block in blocks:
            change = padded(block.conv1, F.leaky_relu(padded(block.conv0, F.leaky_relu(x, 0.2), 1), 0.2), 1)
            x = change + (x if block.shortcut is None else F.conv2d(x, block.shortcut.weight, block.shortcut.bias))
    patches = F.conv2d(F.leaky_relu(x, 0.2), judge.head.weight, judge.head.bias)[:, 0]
    projected = torch.stack([judge.embedding.weight[k] @ f.mean((1, 2)) for k, f in zip(labels, x, strict=True)])
    torch.testing.assert_close(features, x, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits, patches + projected[:, None, None], atol=1e-5, rtol=1e-4)
    for layer in (judge.trunk.stem, judge.head):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2) == pytest.approx(1, abs=0.1)


def test_the_layers_of_styles_are_those_that_scale_and_shift(generator):
    mine = {id(value) for module in generator.style_modules() for value in module.parameters()}
    found = {name for name, value in generator.named_parameters() if id(value) in mine}
    assert found == {name for name, _ in generator.named_parameters() if ".affine." in name} and len(found) > 4
