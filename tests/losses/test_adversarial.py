"""Adversarial losses with answers on paper."""

import math

import pytest
import torch

from lowshotgan.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    least_squares_discriminator,
    least_squares_generator,
    logistic_discriminator,
    logistic_generator,
)


def test_logistic_loss_of_an_undecided_discriminator_is_two_log_two():
    zero = torch.zeros(3, 1)
    torch.testing.assert_close(logistic_discriminator(zero, zero), torch.full((3,), 2 * math.log(2)))
    torch.testing.assert_close(logistic_generator(zero), torch.full((3,), math.log(2)))


def test_logistic_losses_by_hand():
    real, fake = torch.tensor([[2.0]]), torch.tensor([[-1.0]])
    expected = math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))
    assert logistic_discriminator(real, fake).tolist() == pytest.approx([expected])
    assert logistic_generator(fake).tolist() == pytest.approx([math.log(1 + math.exp(1))])


def test_a_certain_discriminator_has_no_loss_and_no_overflow():
    real, fake = torch.full((2, 1), 1e4), torch.full((2, 1), -1e4)
    assert logistic_discriminator(real, fake).tolist() == [0.0, 0.0]
    assert logistic_generator(fake).tolist() == [1e4, 1e4]


def test_hinge_losses_by_hand():
    real, fake = torch.tensor([[1.5, 0.0]]), torch.tensor([[-2.0, 0.5]])
    assert hinge_discriminator(real, fake).tolist() == [0.5 + 0.75]
    assert hinge_generator(fake).tolist() == [0.75]


def test_soft_margins_of_the_hinge_loss_by_hand():
    real, fake = torch.tensor([[0.5, 0.9]]), torch.tensor([[-0.5, -0.9]])
    margins = torch.tensor([[0.8, 1.0]])
    loss = hinge_discriminator(real, fake, margin_real=margins, margin_fake=margins)
    assert loss.tolist() == pytest.approx([0.2 + 0.2])


@pytest.mark.parametrize("loss", [logistic_generator, hinge_generator])
def test_patches_are_averaged_per_sample(loss):
    maps = torch.randn(3, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    slow = torch.stack([torch.stack([loss(value.view(1, 1)) for value in one.flatten()]).mean() for one in maps])
    torch.testing.assert_close(loss(maps), slow)


@pytest.mark.parametrize("loss", [logistic_discriminator, hinge_discriminator])
def test_discriminator_losses_add_a_real_and_a_fake_part_per_sample(loss):
    draws = torch.Generator().manual_seed(0)
    real, fake = torch.randn(4, 6, generator=draws), torch.randn(4, 6, generator=draws)
    together = loss(real, fake)
    assert together.shape == (4,)
    torch.testing.assert_close(together, torch.cat([loss(real[i : i + 1], fake[i : i + 1]) for i in range(4)]))
    swapped = loss(-fake, -real)  # both losses are symmetric
    torch.testing.assert_close(together, swapped)


def test_gradients_point_the_right_way():
    fake = torch.zeros(2, 1, requires_grad=True)
    for loss in (logistic_generator, hinge_generator):
        (gradient,) = torch.autograd.grad(loss(fake).sum(), fake)
        assert (gradient < 0).all()  # descending raises the logit


def test_least_squares_pull_towards_one_and_zero():
    real, fake = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [1.0, 1.0]])
    torch.testing.assert_close(least_squares_discriminator(real, fake), torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(least_squares_generator(fake), torch.tensor([1.0, 0.0]))
