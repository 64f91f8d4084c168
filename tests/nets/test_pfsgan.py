"""PFS-GAN's networks: parameter counts of the released modules, shapes, and slow references."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowshotgan.nets.pfsgan import (
    CodeEncoder,
    Generator,
    PatchDiscriminator,
    Relation,
    UpInstance,
    make_discriminator,
)
from lowshotgan.nets.vgg import VGG16Features, vgg16_layers


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_those_of_the_release():
    with torch.device("meta"):
        unused = 4 * 8 * 64 * 64  # the release's heads are 3 x 3 convolutions on a 1 x 1 map
        assert count(CodeEncoder(64, code_dim=64)) + unused == 17_026_176
        assert count(Generator(64, code_dim=128)) == 1_448_579
        assert count(make_discriminator(64)) == 1_086_849
        assert count(PatchDiscriminator(64)) == 1_086_978


def test_vgg_has_the_layers_of_torchvision():
    with torch.device("meta"):
        layers = vgg16_layers()
    convs = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert [n for n, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)] == convs
    assert [n for n, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)] == [4, 9, 16, 23, 30]
    assert sum(count(layer) for layer in layers) == 14_714_688


def test_features_are_relu1_2_relu2_2_and_relu3_3():
    torch.manual_seed(0)
    net, x = VGG16Features(), torch.randn(1, 3, 16, 16)
    maps = net.maps(x)
    assert [tuple(one.shape[1:]) for one in maps] == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]
    first = F.relu(net.features[2](F.relu(net.features[0](x))))
    torch.testing.assert_close(maps[0], first)
    assert all(float(one.min().detach()) >= 0 for one in maps)


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_shapes_and_ranges(resolution):
    codes = CodeEncoder(resolution, code_dim=6, kind="conv", width=4)(torch.rand(2, 3, resolution, resolution))
    assert codes.mean.shape == codes.log_variance.shape == (2, 6)
    images = Generator(resolution, code_dim=6, width=4)(torch.randn(2, 6))
    assert images.shape == (2, 3, resolution, resolution)
    assert images.abs().max() <= 1
    assert make_discriminator(resolution, width=4)(images).shape == (2, 1)
    verdict = PatchDiscriminator(resolution, width=4)(images)
    side = max(4, resolution // 8)
    assert verdict.patches.shape == (2, side * side) and verdict.image.shape == (2, 1)


@pytest.mark.parametrize("resolution", [32, 128])
def test_the_vgg_encoder_fits_any_size(resolution):
    with torch.device("meta"):
        codes = CodeEncoder(resolution, code_dim=5)(torch.empty(2, 3, resolution, resolution))
    assert codes.mean.shape == codes.log_variance.shape == (2, 5)


def test_up_block_is_what_the_paper_draws():
    torch.manual_seed(0)
    block, x = UpInstance(3), torch.randn(4, 3, 8, 8)

    def normalised(maps):
        mean, deviation = maps.mean(dim=(2, 3), keepdim=True), maps.var(dim=(2, 3), unbiased=False, keepdim=True)
        return (maps - mean) / (deviation + 1e-5).sqrt()

    def big(maps):
        return maps.repeat_interleave(2, 2).repeat_interleave(2, 3)

    main = block.conv2(normalised(block.conv1(big(normalised(x).relu()))).relu())
    torch.testing.assert_close(block(x), main + big(x))


def test_patches_are_read_after_three_blocks_and_the_image_from_the_mean_of_the_last():
    torch.manual_seed(0)
    judge, x = PatchDiscriminator(64, width=4), torch.randn(2, 3, 64, 64)
    middle = judge.blocks[2](judge.blocks[1](judge.blocks[0](x)))
    verdict = judge(x)
    torch.testing.assert_close(verdict.patches, judge.to_patch(middle).flatten(1))
    torch.testing.assert_close(verdict.image, judge.to_logit(judge.blocks[3](middle).mean(dim=(2, 3))))


@pytest.mark.parametrize("kind", ["vgg", "conv"])
def test_the_relation_has_a_stem_of_its_own_that_starts_as_the_encoders(kind):
    torch.manual_seed(0)
    side = 32 if kind == "vgg" else 16
    content = CodeEncoder(side, code_dim=4, kind=kind, width=4).eval()
    relation = Relation(content).eval()
    assert count(relation) == count(content.stem)
    if kind == "vgg":
        assert len([layer for layer in relation.modules() if isinstance(layer, nn.Conv2d)]) == 4
    x, y = torch.rand(2, 2, 3, side, side)
    with torch.no_grad():
        means = content(x).mean
        assert torch.allclose(relation(means, x), torch.zeros(2, 4), atol=1e-10)
        torch.testing.assert_close(relation(means, y), (means - content(y).mean) ** 2)
        for parameter in relation.parameters():
            parameter.add_(0.1)
        assert not torch.allclose(relation(means, x), torch.zeros(2, 4), atol=1e-10)
        assert torch.equal(content(x).mean, means)


def test_initial_values():
    torch.manual_seed(0)
    generator = Generator(64, code_dim=128).requires_grad_(False)
    bound = (6 / (128 + 2048)) ** 0.5
    assert 0.99 * bound < generator.project.weight.abs().max() <= bound
    block = make_discriminator(64).requires_grad_(False).blocks[1]
    bound = (6 / (128 + 128)) ** 0.5
    assert 0.99 * bound < block.skip.weight.abs().max() / 2**0.5 <= bound
    bound = (6 / (2 * 9 * 128)) ** 0.5
    assert 0.99 * bound < block.conv1.weight.abs().max() <= bound
