import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.precision_recall import manifold_scores


def slow_scores(real, fake, k):
    def distance(x, y):
        return float((x - y).square().sum().sqrt())

    def radius(rows, i):
        return sorted(distance(rows[i], rows[j]) for j in range(len(rows)) if j != i)[k - 1]

    real_radius = [radius(real, i) for i in range(len(real))]
    fake_radius = [radius(fake, j) for j in range(len(fake))]
    inside = [[distance(x, y) <= r for y in fake] for x, r in zip(real, real_radius, strict=True)]
    precision = sum(any(row[j] for row in inside) for j in range(len(fake))) / len(fake)
    recall = sum(any(distance(x, y) <= r for y, r in zip(fake, fake_radius, strict=True)) for x in real) / len(real)
    density = sum(map(sum, inside)) / (k * len(fake))
    coverage = sum(map(any, inside)) / len(real)
    return precision, recall, density, coverage


@settings(deadline=None, max_examples=15)
@given(n=st.integers(4, 12), m=st.integers(4, 12), k=st.integers(1, 3), seed=st.integers(0, 999))
def test_it_equals_the_loops(n, m, k, seed):
    torch.manual_seed(seed)
    real, fake = torch.randn(n, 3).double(), torch.randn(m, 3).double() * 1.3
    found = manifold_scores(real, fake, k=k)
    expected = slow_scores(real, fake, k)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected)


def test_equal_sets_overlap_wholly_and_distant_sets_not_at_all():
    torch.manual_seed(0)
    real = torch.randn(30, 4)
    same, apart = manifold_scores(real, real), manifold_scores(real, real + 100)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert (apart.precision, apart.recall, apart.density, apart.coverage) == (0, 0, 0, 0)


def test_dropped_modes_cost_recall_and_coverage_but_not_precision():
    torch.manual_seed(0)
    real = torch.cat([torch.randn(100, 4), torch.randn(100, 4) + 50])
    found = manifold_scores(real, real[:100] + 0.01)
    assert found.precision > 0.95
    assert found.recall == pytest.approx(0.5, abs=0.05)
    assert found.coverage == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("count", "k"), [(2, 1), (3, 2), (10, 3), (199, 3), (200, 5)])
def test_k_follows_the_number_of_images(count, k):
    torch.manual_seed(0)
    assert manifold_scores(torch.randn(count, 2), torch.randn(count, 2)).k == k


def test_too_large_a_k_is_refused():
    with pytest.raises(ConfigError, match="k must be from 1 to 3"):
        manifold_scores(torch.zeros(4, 2), torch.zeros(9, 2), k=4)
