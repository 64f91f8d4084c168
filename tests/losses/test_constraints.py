"""The two published constraints against their formulas, and how constraints become terms."""

import pytest
import torch

from lowshotgan.errors import ConfigError
from lowshotgan.losses.constraints import (
    EmbeddingConstraint,
    RegionColorConstraint,
    constraint_terms,
    constraint_weights,
)


def test_an_embedding_is_compared_with_the_vector_wanted_by_every_net():
    images, wanted = torch.zeros(2, 3, 4, 4), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    zero, one = (lambda x, value=value: x.new_full((len(x), 2), value) for value in (0.0, 1.0))
    found = EmbeddingConstraint(zero, one)(images, {"vectors": wanted})
    torch.testing.assert_close(found, torch.tensor([(1.0 + 1.0) / 2, (4.0 + 2.0) / 2]))
    assert EmbeddingConstraint(zero, distance="l1")(images, {"vectors": wanted}).tolist() == [1.0, 2.0]
    with pytest.raises(ConfigError, match="distance"):
        EmbeddingConstraint(zero, distance="far")


def test_the_colour_of_a_region_is_compared_with_the_colour_wanted():
    images, region = torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    images[:, 0, :2], region[:, :, :2] = 0.5, 1.0
    color = torch.tensor([[0.5, 0.25, -0.25]])
    found = RegionColorConstraint()(images, {"region": region, "color": color})
    torch.testing.assert_close(found, torch.tensor([0.5]), atol=1e-3, rtol=0)


def test_constraints_are_summed_over_batches_and_named():
    constraints = {"bright": (lambda images, targets: images.flatten(1).mean(1) * targets["times"], 0.5)}
    batches = [(torch.full((2, 3, 2, 2), value), {"times": torch.tensor([1.0, 2.0])}) for value in (1.0, 3.0)]
    terms = constraint_terms(constraints, batches)
    assert {name: value.tolist() for name, value in terms.items()} == {"constraint_bright": [4.0, 8.0]}
    assert constraint_weights(constraints) == {"constraint_bright": 0.5}
