"""The distances of the paired systems that need no discriminator."""

import torch

from lowshotgan.nets.residual import ResidualDiscriminator
from lowshotgan.systems.perception import load_perception

CPU = torch.device("cpu")


def images(seed):
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_pixels_by_hand():
    distance = load_perception("pixels", ResidualDiscriminator([4, 4, 4]), device=CPU)
    a, b = images(0), images(1)
    torch.testing.assert_close(distance(a, b), 10 * (a - b).abs().mean(dim=(1, 2, 3)))


def test_own_features_see_more_than_pixels_and_reach_the_images():
    distance = load_perception("lsg1", ResidualDiscriminator([4, 4, 4]), device=CPU)
    a, b = images(0).requires_grad_(True), images(1)
    found = distance(a, b)
    assert distance.name == "lsg1" and bool((found > (a - b).abs().mean(dim=(1, 2, 3))).all())
    assert distance(b, b).abs().max() == 0
    assert torch.autograd.grad(found.sum(), a)[0].abs().sum() > 0
