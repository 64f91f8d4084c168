import pytest
import torch

from lowshotgan.errors import ConfigError
from lowshotgan.nets.features import FeatureNet


def test_maps_halve_in_size_and_the_embedding_is_the_mean_of_the_last():
    net = FeatureNet(widths=(4, 6, 8, 10), depths=(1, 2, 1, 1)).eval()
    images = torch.rand(2, 3, 64, 32) * 2 - 1
    maps = net.maps(images)
    assert [tuple(m.shape) for m in maps] == [(2, 4, 32, 16), (2, 6, 16, 8), (2, 8, 8, 4), (2, 10, 4, 2)]
    torch.testing.assert_close(net(images), maps[-1].mean(dim=(2, 3)))
    assert net.dim == 10


def test_an_image_does_not_depend_on_its_batch_in_evaluation_mode():
    net = FeatureNet(widths=(4, 4, 4, 4)).eval()
    images = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(net(images)[:1], net(images[:1]))


def test_every_map_has_a_gradient_at_the_pixels():
    net = FeatureNet(widths=(4, 4, 4, 4)).eval()
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    for one in net.maps(images):
        (gradient,) = torch.autograd.grad(one.square().sum(), images, retain_graph=True)
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 3, 40, 32)])
def test_unusable_images_are_refused(shape):
    with pytest.raises(ConfigError, match="multiples of 16"):
        FeatureNet(widths=(4, 4, 4, 4)).maps(torch.zeros(shape))


@pytest.mark.parametrize("sizes", [{"widths": (4, 4, 4)}, {"depths": (1, 1, 1, 0)}])
def test_unusable_sizes_are_refused(sizes):
    with pytest.raises(ConfigError, match="four widths and four depths"):
        FeatureNet(**sizes)


def test_the_shipped_size_fits_its_budget():
    """Under 5 MB in float16."""
    assert sum(p.numel() for p in FeatureNet().parameters()) * 2 < 5e6
