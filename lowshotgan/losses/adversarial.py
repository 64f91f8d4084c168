"""Adversarial losses on raw logits; every function returns one value per sample, ``(B,)``."""

import torch.nn.functional as F
from torch import Tensor


def logistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Non-saturating logistic loss of the discriminator (Goodfellow et al. 2014; Karras et al. 2020).

    Args:
        real: ``(B, ...)`` logits of real images; further dimensions (patches) are averaged.
        fake: ``(B, ...)`` logits of generated images.
    """
    return _per_sample(F.softplus(-real)) + _per_sample(F.softplus(fake))


def logistic_generator(fake: Tensor) -> Tensor:
    """Non-saturating logistic loss of the generator: ``softplus(-fake)``, patches averaged."""
    return _per_sample(F.softplus(-fake))


def hinge_discriminator(
    real: Tensor, fake: Tensor, *, margin_real: Tensor | float = 1.0, margin_fake: Tensor | float = 1.0
) -> Tensor:
    """Hinge loss of the discriminator (Lim and Ye 2017).

    Margins may be tensors broadcast against the logits: FastGAN (Liu et al. 2021) draws them from U[0.8, 1.0].
    """
    return _per_sample(F.relu(margin_real - real)) + _per_sample(F.relu(margin_fake + fake))


def hinge_generator(fake: Tensor) -> Tensor:
    """Hinge loss of the generator: minus the mean logit of each sample."""
    return _per_sample(-fake)


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares loss of the discriminator, real towards 1 and fake towards 0 (Mao et al., ICCV 2017, equation 2)."""
    return 0.5 * (_per_sample((real.float() - 1).square()) + _per_sample(fake.float().square()))


def least_squares_generator(fake: Tensor) -> Tensor:
    """Least squares loss of the generator: mean squared distance of the logits from 1."""
    return _per_sample((fake.float() - 1).square())


def _per_sample(values: Tensor) -> Tensor:
    return values.float().flatten(1).mean(dim=1)
