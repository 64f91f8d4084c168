"""``measure_translation``: is the class right, is the content kept, do the images look like the class?

The protocol of Liu et al. (ICCV 2019, section 4) with networks that need no download. Classifiers are trained on half of
the real images of each class; the other half is the reference of the distances and shows how good the classifiers are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan import __version__
from lowshotgan.errors import ConfigError
from lowshotgan.metrics.classifier import inception_like_score, top_k, train_classifier
from lowshotgan.metrics.extractors import PREPROCESSING, Extractor
from lowshotgan.metrics.frechet import frechet_distance
from lowshotgan.metrics.kernel import kernel_distance
from lowshotgan.metrics.protocol import Protocol, images_hash
from lowshotgan.metrics.scores import MetricReport, Score

STRIDE, SHIFT = 100, 8888
LAYER = "last-but-one-map"
"""Of the extractor's maps the one by which layouts are compared; 8 x 8 positions for ``lsg1``."""


@dataclass(frozen=True)
class Translations:
    """Translations into one class.

    Attributes:
        images: ``(N, 3, H, W)`` uint8.
        content: ``(N, 3, H, W)`` uint8, what each was made of.
    """

    images: Tensor
    content: Tensor


@dataclass(frozen=True)
class RealImages:
    """Real images of every class, of which every other one trains the classifiers and the rest are the reference.

    Attributes:
        network: by which images are judged.
        images: ``(N, 3, H, W)`` uint8 by class, at least two each.
    """

    network: Extractor
    images: Mapping[str, Tensor]

    def fitted(self, name: str) -> Tensor:
        """The images of a class that train the classifiers, and may be exemplars."""
        return self.images[name][::2]

    def reference(self, name: str) -> Tensor:
        """The images of a class that translations are compared with."""
        return self.images[name][1::2]

    @cached_property
    def known(self) -> dict[str, Tensor]:
        """Embeddings ``(N, D)`` of the images that train the classifiers."""
        return {name: self.network(self.fitted(name)) for name in self.images}

    @cached_property
    def real(self) -> dict[str, Tensor]:
        """Embeddings ``(N, D)`` of the reference."""
        return {name: self.network(self.reference(name)) for name in self.images}


def pairing(count: int, target: int, contents: int, exemplars: int, shots: int) -> tuple[list[int], list[list[int]]]:
    """Which contents and exemplars make the translations into a class; depends on nothing but the arguments.

    The i-th translation takes content ((i + 8888 t) 100) mod n, as imaginaire's evaluation does (100 is raised to the next
    number without a common factor with n, so that all contents come up), and the exemplars i, i + 1, ..., i + K - 1.

    Args:
        count: translations.
        target: t, number of the class.
        contents: n, how many there are.
        exemplars: images of the class that may be shown.
        shots: K; no exemplar is shown twice, so at most ``exemplars``.

    Raises:
        ConfigError: if there are no contents, or fewer exemplars than shots.
    """
    if contents < 1 or exemplars < shots or shots < 1:
        raise ConfigError(f"{shots} shots need as many exemplars and a content; got {exemplars} and {contents}.")
    stride = next(step for step in range(STRIDE, STRIDE + contents + 1) if math.gcd(step, contents) == 1)
    chosen = [(index + SHIFT * target) * stride % contents for index in range(count)]
    return chosen, [[(index + shot) % exemplars for shot in range(shots)] for index in range(count)]


def measure_translation(made: Mapping[str, Translations], real: RealImages, *, seed: int = 0) -> MetricReport:
    """Score translations.

    Args:
        made: by target class.
        real: images of every class.
        seed: of subsets and resamples.

    Returns:
        Top-1 and top-5 accuracy and an Inception-like score by a classifier of all classes (``-all``) and one of the
        targets (``-test``, if these are others and at least two), both accuracies on real images, what is lost of the
        content (DIPD, see ``layout_distance``), and the mean over targets of kernel and Frechet distance.

    Raises:
        ConfigError: if a target has no real images, or fewer than two classes are given.
    """
    network = real.network
    unknown = sorted(set(made) - set(real.images))
    if unknown or not made:
        raise ConfigError(f"there are no real images of {', '.join(unknown) or 'any target'} to compare with.")
    drawn = {name: network(made[name].images) for name in sorted(made)}
    scores = _accuracies(drawn, real, sorted(real.images), f"all-{network.name}")
    if 2 <= len(drawn) < len(real.images):
        scores |= _accuracies(drawn, real, sorted(drawn), f"test-{network.name}")
    if network.has_maps:
        lost = torch.cat([layout_distance(network, one.images, one.content) for one in made.values()])
        name = f"DIPD-{network.name}-{LAYER}"
        scores["content"] = Score(name, float(lost.mean()), "lower", "source")
    scores |= _distances(drawn, real, seed)
    return MetricReport(scores, _protocol(made, real, seed), _notes(drawn, real))


def layout_distance(network: Extractor, images: Tensor, content: Tensor) -> Tensor:
    """``(N,)`` mean squared differences of the maps ``LAYER``, each channel brought to mean 0 and deviation 1 (DIPD).

    From 0 (the same layout) to about 2 (independent ones): 2 (1 - correlation). Huang et al. (ECCV 2018) define it on
    VGG's conv5; the paper of FUNIT names neither layer nor reduction, so that values compare only by the same network.
    """
    found = []
    for ours, theirs in zip(images.split(64), content.split(64), strict=True):
        maps = (F.instance_norm(network.maps(part)[-2:][0], eps=1e-8) for part in (ours, theirs))
        first, second = maps
        found.append((first - second).square().flatten(1).mean(dim=1))
    return torch.cat(found)


def _accuracies(drawn: Mapping[str, Tensor], real: RealImages, classes: list[str], which: str) -> dict[str, Score]:
    """Accuracies of translations and of real images by a classifier of ``classes``."""
    known = real.known
    labels = torch.cat([torch.full((len(known[name]),), index) for index, name in enumerate(classes)])
    classifier = train_classifier(torch.cat([known[name] for name in classes]), labels, len(classes))
    key = which.partition("-")[0]

    def judged(images: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        wanted = torch.cat([torch.full((len(one),), classes.index(name)) for name, one in images.items()])
        return classifier.posteriors(torch.cat(list(images.values()))), wanted

    posteriors, wanted = judged(drawn)
    truth = judged({name: real.real[name] for name in classes})
    return {
        f"top1_{key}": Score(f"top1-{which}", top_k(posteriors, wanted, 1), "higher", "reference"),
        f"top5_{key}": Score(f"top5-{which}", top_k(posteriors, wanted, 5), "higher", "reference"),
        f"real_{key}": Score(f"top1-{which} of real images", top_k(*truth, 1), "", "reference"),
        f"score_{key}": Score(f"IS-like-{which}", inception_like_score(posteriors), "higher", "reference"),
    }


def _distances(drawn: Mapping[str, Tensor], real: RealImages, seed: int) -> dict[str, Score]:
    """Means over the targets."""
    network = real.network
    kernels = [kernel_distance(real.real[name], one, seed=seed).value for name, one in drawn.items()]
    frechets = [frechet_distance(real.real[name], one) for name, one in drawn.items()]
    mean = sum(one.value for one in frechets) / len(frechets)
    reliable = all(one.reliable for one in frechets)
    return {
        "kernel": Score(f"mean-{network.kernel_name}", sum(kernels) / len(kernels), "lower", "reference"),
        "frechet": Score(f"mean-{network.frechet_name}", mean, "lower", "reference", reliable=reliable),
    }


def _notes(drawn: Mapping[str, Tensor], real: RealImages) -> tuple[str, ...]:
    network = real.network
    fewest = min(min(len(one), len(real.reference(name))) for name, one in drawn.items())
    if fewest >= 2 * network.dim:
        return ()
    return (
        f"{network.frechet_name} needs {2 * network.dim} images of every class on both sides and is too high with "
        f"{fewest}; read {network.kernel_name} instead.",
    )


def _protocol(made: Mapping[str, Translations], real: RealImages, seed: int) -> Protocol:
    network = real.network
    targets = torch.cat([real.reference(name) for name in sorted(made)])
    return Protocol(
        extractor=network.name,
        fingerprint=network.fingerprint,
        preprocessing=PREPROCESSING,
        resize=f"{network.resize}-{network.size}",
        reference=images_hash(targets),
        n_real=len(targets),
        n_fake=sum(len(one.images) for one in made.values()),
        seed=seed,
        version=__version__,
        source=images_hash(torch.cat([made[name].content for name in sorted(made)])),
    )
