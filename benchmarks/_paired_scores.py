"""The columns of ``paired.py``: what twins, real images and encoders give."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.data.appearance import apply_appearance
from lowshotgan.data.images import from_uint8
from lowshotgan.metrics.extractors import Extractor
from lowshotgan.metrics.intra_cluster import mean_pairwise
from lowshotgan.metrics.kernel import kernel_distance
from lowshotgan.metrics.pairs import consistency_ratio, copying_ratio, edge_consistency_ratio, pair_gap_ratio
from lowshotgan.metrics.perceptual import perceptual_vectors

COLUMNS = {
    "KD": "kernel distance of target samples to unseen target images; lower is better",
    "oracle": "KD of the mapped source samples: what perfect twins would get",
    "source KD": "of the source samples to unseen source images, which bounds what a target can reach",
    "CR": "consistency ratio: 0 for perfect twins, 1 for unrelated ones",
    "diversity": "ratio to real targets, over the same ratio of the source generator; 1 keeps all of its variety",
    "copying": "distance to the nearest shot relative to unseen targets; below 0.5 are copies",
    "agreement": "share of twins in which a classifier sees the same class",
    "gap": "content codes of unseen partners over those of strangers; 1 and more see no partner",
    "gap of shots": "the same for the shots",
}
DIVERSITY_SAMPLES = 200
RIDGE = 1.0


@dataclass(frozen=True)
class Reference:
    """Real images that nothing has learnt from, and how to compare with them.

    Attributes:
        extractor: of features.
        source: ``(M, 3, R, R)`` uint8 source images.
        target: their partners.
        style: the appearance map that makes partners, or ``None`` for pairs that were drawn.
        labelled: further source images and their classes ``(L,)``, or ``None``.
    """

    extractor: Extractor
    source: Tensor
    target: Tensor
    style: str | None = None
    labelled: tuple[Tensor, Tensor] | None = None

    @cached_property
    def features(self) -> dict[str, Tensor]:
        return {"source": self.extractor(self.source), "target": self.extractor(self.target)}

    @cached_property
    def spread(self) -> dict[str, float]:
        return {"source": self.spread_of(self.source), "target": self.spread_of(self.target)}

    @cached_property
    def classifiers(self) -> dict[str, Callable[[Tensor], Tensor]] | None:
        """Linear classifiers of features, one per domain."""
        if self.labelled is None or self.style is None:
            return None
        images, labels = self.labelled
        domains = {"source": images, "target": apply_appearance(images, self.style)}
        return {name: ridge_classifier(self.extractor(one), labels) for name, one in domains.items()}

    def spread_of(self, images: Tensor) -> float:
        return mean_pairwise(perceptual_vectors(self.extractor.maps, images[:DIVERSITY_SAMPLES]))


def score(source: Tensor, target: Tensor, shots: Tensor, reference: Reference) -> dict[str, float]:
    """The columns that need samples alone, from uint8 ``(N, 3, R, R)``: source samples, their twins, the target shots."""
    found = {"source": reference.extractor(source), "target": reference.extractor(target)}
    kept = reference.spread_of(source) / reference.spread["source"]
    scores = {
        "KD": kernel_distance(reference.features["target"], found["target"]).value,
        "source KD": kernel_distance(reference.features["source"], found["source"]).value,
        "CR": consistency(source, target, reference.style),
        "diversity": reference.spread_of(target) / reference.spread["target"] / kept,
        "copying": copying_ratio(found["target"], reference.features["target"], reference.extractor(shots)),
    }
    if reference.style is not None:
        mapped = reference.extractor(apply_appearance(source, reference.style))
        scores["oracle"] = kernel_distance(reference.features["target"], mapped).value
    if reference.classifiers is not None:
        classes = [reference.classifiers[name](found[name]) for name in ("source", "target")]
        scores["agreement"] = float((classes[0] == classes[1]).float().mean())
    return scores


@torch.no_grad()
def gaps(
    encode: Callable[[Tensor], Tensor | None], shots: Mapping[str, Tensor], reference: Reference
) -> dict[str, float]:
    """Pair gaps of a content encoder from images in [-1, 1]: none without one, none of the shots if there is only one."""
    pairs = {
        "gap": (reference.source[:DIVERSITY_SAMPLES], reference.target[:DIVERSITY_SAMPLES]),
        "gap of shots": (shots["source"], shots["target"]),
    }
    found = {}
    for name, images in pairs.items():
        source, target = (encode(from_uint8(one)) for one in images)
        if source is not None and target is not None and len(source) > 1:
            found[name] = pair_gap_ratio(source, target)
    return found


def consistency(source: Tensor, target: Tensor, style: str | None) -> float:
    """CR by absolute difference where the map is known, else by 1 - cosine of edges."""
    if style is not None:
        return consistency_ratio(from_uint8(apply_appearance(source, style)), from_uint8(target))
    return edge_consistency_ratio(from_uint8(source), from_uint8(target))


def ridge_classifier(features: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Least squares from standardised features ``(L, D)`` to one-hot labels ``(L,)``; returns features to classes."""
    mean, scale = features.mean(dim=0), features.std(dim=0) + 1e-6

    def standard(values: Tensor) -> Tensor:
        return torch.cat([(values - mean) / scale, torch.ones(len(values), 1)], dim=1)

    rows = standard(features)
    wanted = F.one_hot(labels).float()
    weights = torch.linalg.solve(rows.T @ rows + RIDGE * torch.eye(rows.shape[1]), rows.T @ wanted)
    return lambda values: (standard(values) @ weights).argmax(dim=1)
