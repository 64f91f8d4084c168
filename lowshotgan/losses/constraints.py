"""Constraints: what generated images have to satisfy where no discriminator judges them.

KG-GAN (Chang et al., arXiv 1905.12261) publishes two, the embedding of a category and the colour of a region; a function
of one's own (count, size, position, a classifier) takes the same place in the generator's loss.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from lowshotgan.checks import one_of
from lowshotgan.losses.knowledge_guided import DISTANCES, colour_difference, embedding_distance, region_colour


class Constraint(Protocol):
    """Any function from images and named targets to a differentiable loss; the two below are examples."""

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor], /) -> Tensor:
        """``(B,)``, 0 where the constraint is met, of images ``(B, 3, H, W)`` in [-1, 1] and what they should show."""
        ...


class EmbeddingConstraint:
    """How far a frozen network's reading of an image is from the vector wanted.

    Args:
        nets: each from images to ``(B, d)``; with several the distances are averaged.
        distance: "l2", "l1" or "cosine", as of ``embedding_distance``.
    """

    def __init__(self, *nets: nn.Module | Callable[[Tensor], Tensor], distance: str = "l2") -> None:
        self.nets: Sequence[Callable[[Tensor], Tensor]] = nets
        self.distance = one_of("distance", distance, DISTANCES)

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """``(B,)``; ``targets["vectors"]`` is ``(B, d)``."""
        apart = [embedding_distance(net(images), targets["vectors"], kind=self.distance) for net in self.nets]
        return torch.stack(apart).mean(dim=0)


class RegionColorConstraint:
    """How far the mean colour of a region is from the colour wanted, summed over the channels."""

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """``(B,)``; ``targets["region"]`` is ``(B, 1, H, W)`` in [0, 1], ``targets["color"]`` ``(B, 3)`` in [-1, 1]."""
        return colour_difference(region_colour(images, targets["region"]), targets["color"])


Constraints = Mapping[str, tuple[Constraint, float]]
"""Name -> a constraint and its weight."""


def constraint_terms(
    constraints: Constraints, given: Sequence[tuple[Tensor, Mapping[str, Tensor]]]
) -> dict[str, Tensor]:
    """The value ``(B,)`` of each constraint, summed over several batches ``(images, targets)`` of one size."""
    return {
        f"constraint_{name}": torch.stack([constraint(*batch) for batch in given]).sum(dim=0)
        for name, (constraint, _) in constraints.items()
    }


def constraint_weights(constraints: Constraints) -> dict[str, float]:
    """Weights of what ``constraint_terms`` gives."""
    return {f"constraint_{name}": weight for name, (_, weight) in constraints.items()}
