"""Gradient and logit penalties with answers on paper."""

import pytest
import torch
from torch import nn

from lowshotgan.losses.penalties import lecam, path_lengths, r1


def test_r1_of_a_linear_discriminator_is_its_squared_norm():
    weight = torch.randn(3 * 4 * 4, generator=torch.Generator().manual_seed(0))
    images = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    penalty = r1(lambda x: x.flatten(1) @ weight[:, None] + 7.0, images)
    assert penalty.shape == (5,)
    torch.testing.assert_close(penalty, weight.square().sum().expand(5))


def test_r1_averages_a_map_of_logits_first():
    weights = torch.randn(3 * 4 * 4, 9, generator=torch.Generator().manual_seed(0))
    penalty = r1(lambda x: (x.flatten(1) @ weights).view(-1, 1, 3, 3), torch.zeros(2, 3, 4, 4))
    torch.testing.assert_close(penalty, weights.mean(dim=1).square().sum().expand(2))


def test_r1_of_a_quadratic_discriminator_and_its_own_gradient():
    scale = torch.tensor(0.5, requires_grad=True)
    images = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    penalty = r1(lambda x: scale * x.square().sum(dim=(1, 2, 3))[:, None], images)
    energy = images.square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(penalty, (4 * scale**2 * energy).detach(), check_stride=False)
    (gradient,) = torch.autograd.grad(penalty.sum(), scale)
    torch.testing.assert_close(gradient, (8 * scale * energy.sum()).detach())


def test_r1_is_per_sample_even_when_logits_depend_on_one_image_each():
    torch.manual_seed(0)
    judge = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 1))
    images = torch.randn(3, 3, 2, 2)
    alone = torch.cat([r1(judge, image[None]) for image in images])
    torch.testing.assert_close(r1(judge, images), alone)


def test_r1_leaves_the_images_without_gradient():
    images = torch.randn(1, 1, 2, 2)
    r1(lambda x: x.sum(dim=(1, 2, 3))[:, None], images)
    assert not images.requires_grad


def test_path_length_of_a_linear_generator_is_analytic():
    """For image = A w (summed over layers) the gradient of <image, y> in each layer's w is A^T y."""
    batch, layers, w_dim, side = 3, 4, 5, 2
    draws = torch.Generator().manual_seed(0)
    matrices = torch.randn(layers, 3 * side * side, w_dim, generator=draws)
    ws = torch.randn(batch, layers, w_dim, generator=draws).requires_grad_(True)
    noise = torch.randn(batch, 3, side, side, generator=draws)
    images = torch.einsum("lpd,bld->bp", matrices, ws).view(batch, 3, side, side)
    lengths = path_lengths(images, ws, noise)
    pulled = torch.einsum("lpd,bp->bld", matrices, noise.flatten(1) / side)  # 1 / sqrt(H W) = 1 / side
    expected = pulled.square().sum(dim=2).mean(dim=1).sqrt()
    assert lengths.shape == (batch,)
    torch.testing.assert_close(lengths, expected)


def test_path_length_of_an_isometry_does_not_depend_on_the_style():
    ws = torch.randn(2, 1, 12, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    noise = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    lengths = path_lengths(ws[:, 0].view(2, 3, 2, 2), ws, noise)
    torch.testing.assert_close(lengths, noise.flatten(1).norm(dim=1) / 2)


def test_path_length_is_differentiable_again():
    scale = torch.tensor(2.0, requires_grad=True)
    ws = torch.ones(1, 1, 12, requires_grad=True)
    noise = torch.ones(1, 3, 2, 2)
    lengths = path_lengths((ws[:, 0] * scale).view(1, 3, 2, 2), ws, noise)
    (gradient,) = torch.autograd.grad(lengths.sum(), scale)
    assert lengths.item() == pytest.approx(2 * (12**0.5) / 2)
    assert gradient.item() == pytest.approx((12**0.5) / 2)


def test_lecam_by_hand():
    real, fake = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[-1.0, 1.0], [2.0, 2.0]])
    penalty = lecam(real, fake, real_mean=1.0, fake_mean=-1.0)
    # sample 0: mean((1+1)^2, (3+1)^2) + mean((1+1)^2, (1-1)^2) = 10 + 2; sample 1: 1 + 1
    assert penalty.tolist() == [12.0, 2.0]


def test_lecam_is_zero_when_both_sides_sit_at_the_other_mean():
    means = {"real_mean": torch.tensor(0.5), "fake_mean": torch.tensor(-0.5)}
    assert lecam(torch.full((3, 1), -0.5), torch.full((3, 1), 0.5), **means).tolist() == [0.0] * 3
