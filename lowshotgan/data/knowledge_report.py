"""Whether knowledge can carry a generator to categories without images; told before training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowshotgan.data.knowledge import Knowledge, attribute_groups
from lowshotgan.errors import ConfigError

FAR = 0.2
"""Share of an unseen vector that may lie outside what the seen ones span."""
TWIN = 0.98
"""Cosine from which an unseen category cannot be told from a seen one."""


@dataclass(frozen=True)
class KnowledgeReport:
    """What the seen categories say about the unseen ones.

    Attributes:
        rank: of the centred seen vectors.
        residual: unseen category -> share of its vector outside the affine span of the seen ones, 0 to 1.
        nearest: unseen category -> the nearest seen one and the cosine between both, centred on the seen mean.
        counts: ``group=value`` -> seen categories that have it.
        together: ``group=value, group=value`` -> seen categories that have both.
        warnings: sentences for the user.
    """

    rank: int
    residual: Mapping[str, float]
    nearest: Mapping[str, tuple[str, float]]
    counts: Mapping[str, int]
    together: Mapping[str, int]
    warnings: Sequence[str]

    def __str__(self) -> str:
        lines = [f"The seen vectors span {self.rank} dimensions."]
        for name, share in self.residual.items():
            near, cosine = self.nearest[name]
            lines.append(f"{name}: {share:.0%} outside the seen span; nearest seen {near} (cosine {cosine:.2f}).")
        return "\n".join([*lines, *self.warnings])


def knowledge_report(knowledge: Knowledge, seen: Sequence[str], unseen: Sequence[str]) -> KnowledgeReport:
    """Compare unseen with seen categories.

    Raises:
        ConfigError: if an attribute value of an unseen category occurs in no seen one.
    """
    known, wanted = knowledge.select(seen), knowledge.select(unseen) if unseen else None
    centre = known.vectors.mean(dim=0)
    basis = span(known.vectors)
    counts, together = _occurrences(known)
    residual, nearest = {}, {}
    for name in unseen:
        assert wanted is not None
        vector = wanted.vector(name)
        residual[name] = float(outside_span(vector[None], centre, basis))
        cosines = torch.cosine_similarity(known.vectors - centre, (vector - centre)[None])
        best = int(cosines.argmax())
        nearest[name] = (known.names[best], float(cosines[best]))
        _check_values(knowledge, name, counts)
    warnings = [
        f"{name}: {share:.0%} of its vector points where no seen category does; the images cannot teach that."
        for name, share in residual.items()
        if share > FAR
    ]
    warnings += [
        f"{name} and the seen {near} have nearly the same vector (cosine {cosine:.3f}): they will look alike."
        for name, (near, cosine) in nearest.items()
        if cosine > TWIN
    ]
    return KnowledgeReport(len(basis), residual, nearest, counts, together, warnings + _constant(known))


def span(vectors: Tensor) -> Tensor:
    """``(r, d)`` orthonormal directions of the centred ``vectors (N, d)``."""
    centred = (vectors - vectors.mean(dim=0)).double()
    _, strength, directions = torch.linalg.svd(centred, full_matrices=False)
    enough = strength > max(centred.shape) * 1e-7 * strength.max().clamp(min=1e-12)
    found: Tensor = directions[enough].float()
    return found


def outside_span(vectors: Tensor, centre: Tensor, basis: Tensor) -> Tensor:
    """``(N,)`` shares, 0 to 1, of ``vectors - centre`` that ``basis (r, d)`` does not explain."""
    away: Tensor = vectors - centre
    rest: Tensor = away - away @ basis.T @ basis
    share: Tensor = rest.norm(dim=1) / away.norm(dim=1).clamp(min=1e-12)
    return share


def _occurrences(known: Knowledge) -> tuple[dict[str, int], dict[str, int]]:
    groups = attribute_groups(known.dimensions)
    columns = [index for members in groups.values() for index in members]
    has = known.vectors > 0
    counts = {known.dimensions[i]: int(has[:, i].sum()) for i in columns}
    together = {
        f"{known.dimensions[i]}, {known.dimensions[j]}": int((has[:, i] & has[:, j]).sum())
        for i in columns
        for j in columns
        if i < j and known.dimensions[i].partition("=")[0] != known.dimensions[j].partition("=")[0]
    }
    return counts, together


def _check_values(knowledge: Knowledge, name: str, counts: Mapping[str, int]) -> None:
    row = knowledge.vector(name)
    for value, seen in counts.items():
        if not seen and row[knowledge.dimensions.index(value)] > 0:
            raise ConfigError(
                f"{name} needs {value}, which no seen category has; add a seen category with it, or leave {name} out."
            )


def _constant(known: Knowledge) -> list[str]:
    """Warnings for values that always come with the same value of another group."""
    groups = attribute_groups(known.dimensions)
    has = known.vectors > 0
    found = []
    for group, members in groups.items():
        for index in members:
            rows = has[has[:, index]]
            for other, theirs in groups.items():
                values = rows[:, theirs].any(dim=0)
                if other != group and len(rows) > 1 and int(values.sum()) == 1 and len(theirs) > 1:
                    partner = known.dimensions[theirs[int(values.nonzero()[0])]]
                    found.append(f"every seen category with {known.dimensions[index]} has {partner}.")
    return found
