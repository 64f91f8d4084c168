"""How good is a target learnt from pairs? Held-out pairs tell more than images do: do twins agree, is content read alike?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lowshotgan.checks import keywords
from lowshotgan.data.images import from_uint8, to_uint8
from lowshotgan.data.pairs import PairSet, load_pairs
from lowshotgan.errors import ConfigError
from lowshotgan.metrics.extractors import Extractor, load_extractor
from lowshotgan.metrics.pairs import copying_ratio, edge_consistency_ratio, pair_gap_ratio
from lowshotgan.metrics.report import MetricReport, Score, measure
from lowshotgan.nets.residual import as_rgb
from lowshotgan.systems.paired import PairedSystem

PAIRS = "pairs"
"""Key of these scores among ``metrics``."""
OPTIONS = keywords(load_pairs) - {"resolution", "channels"}
GAP_PAIRS = 500
"""At most so many pairs (the first ones) are encoded."""
CHUNK = 50


def read_held_out(model: PairedSystem, reference: Any, **options: Any) -> PairSet | None:
    """Pairs that nothing was learnt from, if ``reference`` is pairs and not images alone.

    Args:
        model: what is judged.
        reference: anything ``load_pairs`` takes.
        options: of ``load_pairs``; with others, which images alone have, the reference is no pairs.

    Raises:
        ConfigError: for pairs and a model without a target domain.
        ImageInputError: for unreadable images, or partners that do not match.
    """
    if not set(options) <= OPTIONS:
        return None
    held_out = model.read_shots(reference, **options)
    if held_out.source is None:
        return None
    if not model.config.adapted:
        raise ConfigError(f"{model.arch} has no target domain that pairs could judge; pass source images alone.")
    return held_out


def evaluate_twins(
    model: PairedSystem,
    held_out: PairSet,
    seeds: Sequence[int],
    *,
    train: Any = None,
    metrics: Sequence[str] | None = None,
    extractor: str = "auto",
    truncation: float = 1.0,
    seed: int = 0,
) -> MetricReport:
    """Scores of the target, and of its twins; see ``api.evaluate``.

    Args:
        model: with a target domain.
        held_out: pairs that nothing was learnt from, at least two.
        seeds: of the twins, at least two.
        train: the shots, as pairs or alone.
        metrics: keys of ``metrics.report.METRICS`` and "pairs"; all that can be had by default.
        extractor: of features.
        truncation: of the twins.
        seed: of subsets and resamples.

    Raises:
        ConfigError: for an unknown metric, or fewer than two seeds or pairs.
    """
    if min(len(held_out), len(seeds)) < 2:
        raise ConfigError(
            f"twins are compared with others: give two pairs and seeds, not {len(held_out), len(seeds)}."
        )
    both = to_uint8(as_rgb(model.generate(seeds=seeds, domain="both", truncation=truncation).tensor))
    source, target = both.chunk(2, dim=3)
    shots = None if train is None else as_rgb(model.read_shots(train).rows["target"])
    network = load_extractor(extractor)
    real = as_rgb(held_out.rows["target"])
    others = None if metrics is None else [name for name in metrics if name != PAIRS]
    report = measure(target, real, train=shots, source=source, metrics=others, extractor=network, seed=seed)
    if metrics is not None and PAIRS not in metrics:
        return report
    scores = pair_scores(model, held_out, (source, target)) | copying(target, real, shots, network)
    return replace(report, scores={**report.scores, **scores})


def pair_scores(model: PairedSystem, held_out: PairSet, twins: tuple[Tensor, Tensor]) -> dict[str, Score]:
    """Consistency of ``twins``, both ``(N, 3, R, R)`` uint8, and the gap between the contents of held-out partners, for
    systems that have an encoder of both."""
    ratio = edge_consistency_ratio(*map(from_uint8, twins))
    found = {"consistency_ratio": Score("consistency-ratio-edges", ratio, "lower", "source")}
    codes = [_content(model, from_uint8(held_out.rows[name][:GAP_PAIRS])) for name in ("source", "target")]
    if codes[0] is not None and codes[1] is not None:
        found["pair_gap"] = Score("pair-gap", pair_gap_ratio(codes[0], codes[1]), "lower", "reference")
    return found


def copying(target: Tensor, real: Tensor, shots: Tensor | None, extractor: Extractor) -> dict[str, Score]:
    """How near samples ``target`` come to the ``shots``, relative to ``real`` images; all ``(., 3, R, R)`` uint8."""
    if shots is None:
        return {}
    value = copying_ratio(extractor(target), extractor(real), extractor(shots))
    return {"copying": Score(f"copying-{extractor.name}", value, "higher", "train")}


@torch.no_grad()
def _content(model: PairedSystem, images: Tensor) -> Tensor | None:
    model.generator.eval()
    parts = [model.content_codes(part.to(model.device)) for part in images.split(CHUNK)]
    known = [part.cpu() for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None
