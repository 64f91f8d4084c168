"""Gradient and logit penalties of GAN training; every function returns one value per sample, ``(B,)``."""

from collections.abc import Callable

import torch
from torch import Tensor


def r1(discriminator: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Squared norm of the discriminator's gradient at real images (Mescheder et al. 2018).

    Multiply by gamma / 2. ``images`` are taken as given: an augmentation belongs inside ``discriminator``, so that the
    gradient is taken with respect to the un-augmented image.

    Args:
        discriminator: from ``(B, C, H, W)`` to logits ``(B, ...)``; several logits per image are averaged first.
        images: ``(B, C, H, W)`` in [-1, 1].
    """
    images = images.detach().requires_grad_(True)
    logits = discriminator(images).float().flatten(1).mean(dim=1)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float().square().sum(dim=(1, 2, 3))


def r1_of_batch_mean(discriminator: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Squared norm of the gradient of the *batch's* mean logit, as FUNIT's release computes it (Liu et al. 2019).

    This is ``r1`` divided by the squared number of images, so its strength depends on the size of the (micro-)batch.
    The parameters are those of ``r1``.
    """
    return r1(discriminator, images) / len(images) ** 2


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """How far an image moves per unit of style (Karras et al. 2020, section 3.2).

    Args:
        images: ``(B, C, H, W)``, generated from ``ws`` with the graph kept.
        ws: ``(B, L, w_dim)`` styles that require a gradient.
        noise: ``(B, C, H, W)`` standard normal; scaled here by ``1 / sqrt(H W)``.

    Returns:
        ``(B,)`` lengths; the penalty is their squared distance from a running mean.
    """
    scale = (images.shape[2] * images.shape[3]) ** -0.5
    (gradient,) = torch.autograd.grad((images.float() * noise * scale).sum(), ws, create_graph=True)
    return gradient.float().square().sum(dim=2).mean(dim=1).sqrt()


def lecam(real: Tensor, fake: Tensor, *, real_mean: Tensor | float, fake_mean: Tensor | float) -> Tensor:
    """LeCam regularisation (Tseng et al., CVPR 2021): logits stay near the running mean of the other side.

    Args:
        real: ``(B, ...)`` logits of real images.
        fake: ``(B, ...)`` logits of generated images.
        real_mean: running mean of the real logits.
        fake_mean: running mean of the generated logits.
    """
    towards_fake = (real.float() - fake_mean).square().flatten(1).mean(dim=1)
    towards_real = (real_mean - fake.float()).square().flatten(1).mean(dim=1)
    return towards_fake + towards_real
