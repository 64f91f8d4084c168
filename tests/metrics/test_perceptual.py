import pytest
import torch

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.intra_cluster import intra_cluster_distance, mean_pairwise
from lowshotgan.metrics.perceptual import pairwise_perceptual, perceptual_distance, perceptual_vectors


def slow_distance(maps_a, maps_b):
    """Per map: unit channel vectors at every position, squared difference, mean over positions."""
    total = 0.0
    for a, b in zip(maps_a, maps_b, strict=True):
        a, b = a[0], b[0]
        a, b = a / a.norm(dim=0, keepdim=True), b / b.norm(dim=0, keepdim=True)
        total += float((a - b).square().sum(0).mean())
    return total / len(maps_a)


def test_every_pair_equals_the_slow_form(tiny, drawings):
    vectors = perceptual_vectors(tiny.maps, drawings[:5], batch_size=2)
    found = pairwise_perceptual(vectors, vectors)
    for i in range(5):
        for j in range(5):
            expected = slow_distance(tiny.maps(drawings[i : i + 1]), tiny.maps(drawings[j : j + 1]))
            assert float(found[i, j]) == pytest.approx(expected, abs=2e-5)


def test_the_paired_form_is_the_diagonal(tiny, drawings):
    a, b = drawings[:6], drawings[6:12]
    every = pairwise_perceptual(perceptual_vectors(tiny.maps, a), perceptual_vectors(tiny.maps, b))
    torch.testing.assert_close(perceptual_distance(tiny.maps, a, b), every.diagonal(), atol=1e-5, rtol=1e-4)


def test_fine_maps_are_averaged_down():
    fine = torch.rand(2, 3, 64, 64)
    vectors = perceptual_vectors(lambda _: [fine], torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert vectors.shape == (2, 3 * 32 * 32)


def test_intra_cluster_distance_by_hand():
    """Two training points on a line; the cluster of the first has pairs at squared distances 1, 4 and 1."""
    train = torch.tensor([[0.0], [100.0]])
    fake = torch.tensor([[-1.0], [0.0], [1.0], [100.0]])
    found = intra_cluster_distance(fake, train)
    assert found.value == pytest.approx((1 + 1 + 4) / 3)
    assert found.coverage == 1
    assert found.sizes == (3, 1)


def test_empty_clusters_lower_the_coverage_and_copies_have_no_diversity():
    train = torch.tensor([[0.0], [10.0], [20.0], [30.0]])
    found = intra_cluster_distance(torch.tensor([[0.0], [0.0], [10.0], [10.0]]), train)
    assert (found.value, found.coverage) == (0, 0.5)


def test_members_are_limited_and_the_seed_fixes_them():
    torch.manual_seed(0)
    fake, train = torch.randn(200, 3), torch.zeros(1, 3)
    first, again, other = (intra_cluster_distance(fake, train, members=5, seed=s).value for s in (1, 1, 2))
    assert first == again != other
    assert intra_cluster_distance(fake, train, members=200).value == pytest.approx(mean_pairwise(fake), rel=1e-4)


def test_single_members_give_no_value():
    found = intra_cluster_distance(torch.tensor([[0.0]]), torch.tensor([[0.0], [1.0]]))
    assert found.value != found.value
    with pytest.raises(ConfigError, match="got 0 and 2"):
        intra_cluster_distance(torch.zeros(0, 1), torch.zeros(2, 1))
