"""``measure``: every metric that the given images allow, as one report.

Against the reference: kernel distance (it leads), Frechet distance, precision, recall, density, coverage.
Against the training images: diversity around them, memorisation. Against the source generator's images of the
same latents: what was kept. Small sets give warnings and bracketed numbers, not errors.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lowshotgan import __version__
from lowshotgan.checks import one_of
from lowshotgan.errors import ConfigError
from lowshotgan.metrics.consistency import edge_agreement, relation_agreement
from lowshotgan.metrics.extractors import PREPROCESSING, Extractor, check_images, load_extractor
from lowshotgan.metrics.frechet import frechet_distance
from lowshotgan.metrics.intra_cluster import intra_cluster_distance
from lowshotgan.metrics.kernel import kernel_distance
from lowshotgan.metrics.memorization import Memorization, memorization
from lowshotgan.metrics.perceptual import perceptual_vectors
from lowshotgan.metrics.precision_recall import manifold_scores
from lowshotgan.metrics.protocol import Protocol, images_hash
from lowshotgan.metrics.scores import MetricReport, Score

__all__ = ["METRICS", "MetricReport", "Score", "measure"]

PERCEPTUAL_IMAGES = 1000
"""At most this many fakes (the first ones) enter the metrics that compare images pair by pair."""

CONSISTENCY_PAIRS = 500
SMALL = 200
"""Below this many images, precision and its relatives are printed in brackets."""


@dataclass
class _Inputs:
    fake: Tensor
    reference: Tensor
    train: Tensor | None
    source: Tensor | None
    extractor: Extractor
    seed: int
    warnings: list[str]
    real_features: Tensor
    fake_features: Tensor
    copies: Memorization | None = None


def measure(
    fake: Tensor,
    reference: Tensor,
    *,
    train: Tensor | None = None,
    source: Tensor | None = None,
    metrics: Iterable[str] | None = None,
    extractor: str | Extractor | nn.Module = "auto",
    seed: int = 0,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
) -> MetricReport:
    """Score generated images.

    Args:
        fake: ``(N, 3, H, W)`` uint8, generated.
        reference: ``(M, 3, H, W)`` uint8 images of the target, best of all ones the model was not trained on.
        train: ``(K, 3, H, W)`` uint8 training images; gives diversity and memorisation.
        source: ``(N, 3, H, W)`` uint8 images of the unadapted generator for the same latents; gives
            consistency.
        metrics: one or more keys of ``METRICS``; by default all that the images allow.
        extractor: anything ``load_extractor`` takes.
        seed: of subsets and resamples.
        batch_size: images the extractor sees at once.
        device: where an extractor that is loaded here runs.

    Raises:
        ConfigError: if images are not uint8 ``(N, 3, H, W)``, there are no fakes, a metric is unknown, or a
            named metric lacks the images it needs.
        WeightsError: if the extractor cannot be loaded.
    """
    for images in (fake, reference, train, source):
        if images is not None:
            check_images(images)
    if not len(fake):
        raise ConfigError("there are no generated images to measure; generate at least two.")
    chosen = _choose(metrics, train, source)
    network = load_extractor(extractor, device=device)
    found = _Inputs(
        fake,
        reference,
        train,
        source,
        network,
        seed,
        _about_sets(fake, reference, train),
        real_features=network(reference, batch_size=batch_size),
        fake_features=network(fake, batch_size=batch_size),
    )
    scores: dict[str, Score] = {}
    for name in chosen:
        scores |= METRICS[name](found)
    return MetricReport(scores, _protocol(found), tuple(found.warnings), found.copies)


def _kernel(given: _Inputs) -> dict[str, Score]:
    name = given.extractor.kernel_name
    if _too_few(given, name):
        return {}
    found = kernel_distance(given.real_features, given.fake_features, seed=given.seed)
    return {"kernel": Score(name, found.value, "lower", "reference", found.low, found.high)}


def _frechet(given: _Inputs) -> dict[str, Score]:
    name = given.extractor.frechet_name
    if _too_few(given, name):
        return {}
    found = frechet_distance(given.real_features, given.fake_features)
    if not found.reliable:
        given.warnings.append(
            f"{name} needs {2 * given.extractor.dim} images in both sets and is too high with fewer; "
            f"read {given.extractor.kernel_name} instead."
        )
    return {"frechet": Score(name, found.value, "lower", "reference", reliable=found.reliable)}


def _manifold(given: _Inputs) -> dict[str, Score]:
    if _too_few(given, "precision"):
        return {}
    found = manifold_scores(given.real_features, given.fake_features)
    reliable = min(len(given.reference), len(given.fake)) >= SMALL
    if not reliable:
        given.warnings.append(
            f"precision, recall, density and coverage are rough below {SMALL} images (k = {found.k})."
        )
    return {
        key: Score(f"{key}-{given.extractor.name}", getattr(found, key), "higher", "reference", reliable=reliable)
        for key in ("precision", "recall", "density", "coverage")
    }


def _intra_cluster(given: _Inputs) -> dict[str, Score]:
    if given.train is None or _no_maps(given, "intra-cluster distance"):
        return {}
    fake, train = (perceptual_vectors(given.extractor.maps, x) for x in (given.fake[:PERCEPTUAL_IMAGES], given.train))
    found = intra_cluster_distance(fake, train, seed=given.seed)
    name = given.extractor.perceptual_name
    coverage = f"cluster-coverage-{given.extractor.name}"
    return {
        "intra_cluster": Score(f"intra-{name}", found.value, "higher", "train"),
        "cluster_coverage": Score(coverage, found.coverage, "higher", "train"),
    }


def _memorization(given: _Inputs) -> dict[str, Score]:
    if given.train is None or _no_maps(given, "memorisation"):
        return {}
    if given.train.shape[1:] != given.fake.shape[1:]:
        given.warnings.append("memorisation was left out: training and generated images differ in size.")
        return {}
    found = memorization(
        given.fake[:PERCEPTUAL_IMAGES],
        given.train,
        extractor=given.extractor,
        held_out=_held_out(given),
        seed=given.seed,
    )
    given.copies = found
    if len(given.train) == 1:
        given.warnings.append("with one training image there is no scale for copies; look at the pairs.")
    if not found.calibrated:
        given.warnings.append(f"the copy threshold {found.threshold} was not calibrated for {given.extractor.name}.")
    name = given.extractor.name
    scores = {
        "memorized": Score(f"memorised-{name}", found.rate, "lower", "train"),
        "nearest_ratio": Score(f"nearest-ratio-{name}", found.median_ratio, "", "train"),
    }
    if found.held_out_share is not None:
        scores["held_out_share"] = Score(f"nearer-to-training-{name}", found.held_out_share, "", "train")
    return scores


def _consistency(given: _Inputs) -> dict[str, Score]:
    if given.source is None:
        return {}
    source, adapted = given.source[:CONSISTENCY_PAIRS], given.fake[:CONSISTENCY_PAIRS]
    edges = float(edge_agreement(source, adapted).mean())
    scores = {"edge_agreement": Score("edge-agreement", edges, "higher", "source")}
    if len(source) >= 3 and not _no_maps(given, "relation agreement"):
        vectors = (perceptual_vectors(given.extractor.maps, x) for x in (source, adapted))
        name = f"relation-agreement-{given.extractor.name}"
        scores["relation_agreement"] = Score(name, relation_agreement(*vectors), "higher", "source")
    return scores


METRICS: dict[str, Callable[[_Inputs], dict[str, Score]]] = {
    "kernel": _kernel,
    "frechet": _frechet,
    "manifold": _manifold,
    "intra_cluster": _intra_cluster,
    "memorization": _memorization,
    "consistency": _consistency,
}
"""Key of a metric, and the function that turns the inputs into scores."""

_NEEDS = {"intra_cluster": "train", "memorization": "train", "consistency": "source"}


def _choose(metrics: Iterable[str] | None, train: Tensor | None, source: Tensor | None) -> list[str]:
    given = {"train": train is not None and len(train) > 0, "source": source is not None and len(source) > 0}
    if metrics is None:
        return [name for name in METRICS if given.get(_NEEDS.get(name, ""), True)]
    chosen = [one_of("metrics", name, METRICS) for name in ([metrics] if isinstance(metrics, str) else metrics)]
    for name in chosen:
        if not given.get(_NEEDS.get(name, ""), True):
            raise ConfigError(f"the metric {name!r} needs {_NEEDS[name]} images; pass {_NEEDS[name]}=... .")
    return chosen


def _about_sets(fake: Tensor, reference: Tensor, train: Tensor | None) -> list[str]:
    warnings = []
    if min(len(fake), len(reference)) < 50:
        warnings.append(f"{len(reference)} reference and {len(fake)} generated images: intervals are wide.")
    if train is not None and (shared := len(reference) - int(_unseen(reference, train).sum())):
        warnings.append(f"{shared} of {len(reference)} reference images are training images, which rewards copying.")
    return warnings


def _too_few(given: _Inputs, name: str) -> bool:
    few = min(len(given.reference), len(given.fake)) < 2
    if few:
        given.warnings.append(f"{name} was left out: it needs at least two reference and two generated images.")
    return few


def _no_maps(given: _Inputs, name: str) -> bool:
    if not given.extractor.has_maps:
        given.warnings.append(
            f"{name} was left out: the network of {given.extractor.name} has no method maps(images)."
        )
    return not given.extractor.has_maps


def _held_out(given: _Inputs) -> Tensor | None:
    if given.train is None or given.reference.shape[1:] != given.train.shape[1:]:
        return None
    return given.reference[_unseen(given.reference, given.train)]


def _unseen(reference: Tensor, train: Tensor) -> Tensor:
    """``(M,)`` bool: which reference images are not, level by level, training images."""
    known = {one.contiguous().numpy().tobytes() for one in train.cpu()}
    return torch.tensor([one.contiguous().numpy().tobytes() not in known for one in reference.cpu()], dtype=torch.bool)


def _protocol(given: _Inputs) -> Protocol:
    return Protocol(
        extractor=given.extractor.name,
        fingerprint=given.extractor.fingerprint,
        preprocessing=PREPROCESSING,
        resize=f"{given.extractor.resize}-{given.extractor.size}",
        reference=images_hash(given.reference),
        n_real=len(given.reference),
        n_fake=len(given.fake),
        seed=given.seed,
        version=__version__,
        train=None if given.train is None else images_hash(given.train),
        source=None if given.source is None else images_hash(given.source),
    )
