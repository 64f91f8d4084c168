"""GenHo's networks: parameter counts of the released modules for three cuts, shapes, and slow references."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowshotgan.nets.batch_norm import recompute_batch_norm
from lowshotgan.nets.genho import (
    AppearanceGenerator,
    ContentBlock,
    ContentDiscriminator,
    ContentEncoder,
    ContentGenerator,
    channels_at,
    make_discriminator,
)

SMALL = {"width_base": 64, "width_max": 8}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("cut", "content", "appearance", "encoder", "judge"),
    [
        (8, 6_057_472, 2_499_331, 6_984_832, 9_702_401),
        (16, 7_959_808, 596_995, 2_347_520, 13_373_953),
        (32, 8_435_840, 120_963, 856_192, 14_292_225),
    ],
)
def test_parameter_counts_are_those_of_the_release(cut, content, appearance, encoder, judge):
    with torch.device("meta"):
        found = [
            ContentGenerator(cut),
            AppearanceGenerator(64, cut),
            ContentEncoder(64, cut),
            ContentDiscriminator(cut),
        ]
    assert [count(net) for net in found] == [content, appearance, encoder, judge]
    assert content + appearance == 8_556_803


def test_the_image_discriminator_has_the_released_count():
    with torch.device("meta"):
        assert count(make_discriminator(64)) == 14_298_305


def test_channels_follow_the_size_of_the_map():
    assert [channels_at(4096, 512)(side) for side in (4, 8, 16, 32, 64, 128, 256)] == [512, 512, 256, 128, 64, 32, 16]


@pytest.mark.parametrize(("resolution", "cut"), [(16, 8), (32, 8), (64, 8), (64, 32), (128, 16)])
def test_shapes_and_ranges(resolution, cut):
    content = ContentGenerator(cut, z_dim=5, **SMALL)(torch.randn(2, 5))
    assert content.shape == (2, channels_at(64, 8)(cut), cut, cut) and content.min() >= 0
    images = AppearanceGenerator(resolution, cut, **SMALL)(content)
    assert images.shape == (2, 3, resolution, resolution) and images.abs().max() <= 1
    encoded = ContentEncoder(resolution, cut, **SMALL)(images)
    assert encoded.shape == content.shape and encoded.min() >= 0
    assert ContentDiscriminator(cut, **SMALL)(encoded).shape == (2, 1)
    assert make_discriminator(resolution, **SMALL)(images).shape == (2, 1)


@pytest.mark.parametrize("halve", [True, False])
def test_content_block_is_what_the_paper_draws(halve):
    torch.manual_seed(0)
    block, x = ContentBlock(4, 4, halve=halve).eval(), torch.randn(2, 4, 8, 8)
    main = block.conv2(block.conv1(x).relu())
    expected = F.avg_pool2d(main, 2) + F.avg_pool2d(block.skip(x), 2) if halve else main + x
    torch.testing.assert_close(block(x), expected.relu())


def test_initial_values():
    torch.manual_seed(0)
    layer = ContentEncoder(16, 8, width_base=2048, width_max=64).requires_grad_(False).layers[1]
    expected = (2 * 2 / (layer.in_channels * 9 + layer.out_channels * 9)) ** 0.5
    assert abs(float(layer.weight.std()) / expected - 1) < 0.05
    assert layer.bias.abs().max() == 0


def test_the_second_part_is_recalibrated_behind_the_first():
    """Statistics of the appearance half are those of its inputs from noise; the content half is not touched."""
    torch.manual_seed(0)
    content, image = ContentGenerator(8, z_dim=3, **SMALL).eval(), AppearanceGenerator(16, 8, **SMALL)
    before = {name: value.clone() for name, value in content.state_dict().items()}
    recompute_batch_norm(image, z_dim=3, samples=100, before=content)
    draws = torch.Generator().manual_seed(0)
    latents = [torch.randn(50, 3, generator=draws) for _ in range(2)]
    with torch.no_grad():
        entering = [
            image.blocks[0].conv1(F.interpolate(content(part), scale_factor=2.0, mode="nearest")) for part in latents
        ]
    expected = torch.stack([one.mean(dim=(0, 2, 3)) for one in entering]).mean(dim=0)
    torch.testing.assert_close(image.blocks[0].norm1.running_mean, expected, atol=1e-5, rtol=1e-4)
    assert all(torch.equal(content.state_dict()[name], value) for name, value in before.items())
    assert not any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in image.modules())
