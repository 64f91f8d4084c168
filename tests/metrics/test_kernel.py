import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.kernel import kernel_distance


def slow_distance(real, fake):
    """The unbiased estimator of Gretton et al. (2012, lemma 6), term by term."""

    def kernel(x, y):
        return (float(x @ y) / len(x) + 1) ** 3

    n, m = len(real), len(fake)
    same_real = sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    same_fake = sum(kernel(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    cross = sum(kernel(x, y) for x in real for y in fake) / (n * m)
    return same_real + same_fake - 2 * cross


@settings(deadline=None, max_examples=10)
@given(n=st.integers(2, 7), seed=st.integers(0, 1000))
def test_it_equals_the_sum_over_pairs(n, seed):
    torch.manual_seed(seed)
    real, fake = torch.randn(n, 4).double(), (torch.randn(n, 4) + 1).double()
    assert kernel_distance(real, fake).value == pytest.approx(slow_distance(real, fake), rel=1e-9)


def test_subsets_are_averaged():
    torch.manual_seed(0)
    real, fake = torch.randn(8, 3), torch.randn(40, 3)
    every = kernel_distance(real, fake, subsets=400).value
    one = [kernel_distance(real, fake, subsets=1, seed=seed).value for seed in range(5)]
    assert every == pytest.approx(sum(one) / 5, abs=0.6)
    assert len(set(one)) == 5


@pytest.mark.parametrize("count", [10, 100])
def test_one_distribution_is_at_distance_zero_on_average(count):
    torch.manual_seed(1)
    found = [kernel_distance(torch.randn(count, 16), torch.randn(count, 16)).value for _ in range(40)]
    values = torch.tensor(found)
    assert abs(values.mean()) < 3 * values.std() / 40**0.5


def test_the_interval_covers_a_real_difference_and_the_seed_fixes_it():
    torch.manual_seed(2)
    real, fake = torch.randn(60, 8), torch.randn(60, 8) + 0.8
    found = kernel_distance(real, fake, seed=5)
    assert 0 < found.low < found.value < found.high
    assert found == kernel_distance(real, fake, seed=5)
    assert found.std > 0


def test_the_bootstrap_spread_is_near_the_true_spread():
    torch.manual_seed(3)
    found = [kernel_distance(torch.randn(50, 8), torch.randn(50, 8) + 1.0) for _ in range(30)]
    true = torch.tensor([one.value for one in found]).std()
    claimed = torch.tensor([one.std for one in found]).mean()
    assert 0.5 < claimed / true < 2


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(1, 4), torch.zeros(5, 4), "at least 2"),
        (torch.zeros(5, 4), torch.zeros(5, 3), "same extractor"),
        (torch.full((5, 4), float("nan")), torch.zeros(5, 4), "NaN"),
    ],
)
def test_unusable_embeddings_are_refused(real, fake, message):
    with pytest.raises(ConfigError, match=message):
        kernel_distance(real, fake)


@pytest.mark.parametrize("options", [{"subset_size": 1}, {"subsets": 0}, {"subsets": 1.5}, {"resamples": 1}])
def test_numbers_without_a_spread_are_refused_by_their_value(options):
    name, value = next(iter(options.items()))
    with pytest.raises(ConfigError, match=rf"{name} must be a whole number .* got {value}"):
        kernel_distance(torch.randn(4, 3), torch.randn(4, 3), **options)
