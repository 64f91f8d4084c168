import pytest
import torch

from lowshotgan.metrics.frechet import frechet_distance, frechet_from_moments


def random_covariance(dim, generator):
    root = torch.randn(dim, dim, generator=generator).double()
    return root @ root.T / dim


def test_diagonal_gaussians_have_a_closed_form():
    """Commuting covariances: |mu1 - mu2|^2 + sum (s1 - s2)^2."""
    mean1, mean2 = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.0, 0.0, -1.0])
    s1, s2 = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 0.0, 0.5])
    found = frechet_from_moments(mean1, torch.diag(s1**2), mean2, torch.diag(s2**2))
    assert found == pytest.approx(10 + 4 + 4, abs=1e-6)


def test_general_covariances_agree_with_the_eigenvalues_of_the_product():
    """The textbook form: the trace of the root is the sum of roots of the eigenvalues of S1 S2."""
    generator = torch.Generator().manual_seed(0)
    cov1, cov2 = random_covariance(6, generator), random_covariance(6, generator)
    roots = torch.linalg.eigvals(cov1 @ cov2).real.clamp(min=0).sqrt().sum()
    expected = float(cov1.trace() + cov2.trace() - 2 * roots)
    zero = torch.zeros(6)
    assert frechet_from_moments(zero, cov1, zero, cov2) == pytest.approx(expected, rel=1e-9)
    assert frechet_from_moments(zero, cov1, zero, cov1) == pytest.approx(0, abs=1e-6)


def test_a_shift_of_the_samples_costs_its_square():
    torch.manual_seed(0)
    features = torch.randn(50, 4)
    shifted = features + torch.tensor([3.0, 0.0, 4.0, 0.0])
    assert frechet_distance(features, shifted).value == pytest.approx(25, rel=1e-5)


def test_samples_of_one_gaussian_come_closer_with_their_number_and_small_sets_are_flagged():
    torch.manual_seed(0)
    few, many = (frechet_distance(torch.randn(n, 32), torch.randn(n, 32)) for n in (20, 2000))
    assert few.value > 10 * many.value
    assert not few.reliable
    assert many.reliable


def test_fewer_images_than_dimensions_still_give_a_number():
    torch.manual_seed(0)
    assert frechet_distance(torch.randn(3, 20), torch.randn(2, 20)).value > 0
