"""How good is a translator? Translations by a fixed pairing, and what ``metrics.translation`` finds in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lowshotgan.checks import positive
from lowshotgan.data.images import from_uint8, to_uint8
from lowshotgan.errors import ConfigError
from lowshotgan.metrics.scores import MetricReport
from lowshotgan.metrics.translation import RealImages, Translations, measure_translation, pairing

if TYPE_CHECKING:
    from lowshotgan.systems.translation import Translator


@dataclass(frozen=True)
class Target:
    """A class to translate into.

    Attributes:
        name: of the class, as among the real images.
        content: ``(N, 3, H, W)`` uint8, what may be translated.
        options: of ``generate``, such as the direction between two domains.
        rows: those of ``content`` that may be; all if left out.
    """

    name: str
    content: Tensor
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[int] | None = None


def evaluate_translator(
    system: "Translator",
    targets: Sequence[Target],
    real: RealImages,
    *,
    shots: int = 5,
    n: int = 1000,
    seed: int = 0,
) -> MetricReport:
    """Translate into every target (see ``translate_into``), and score the translations; ``seed`` is of subsets and
    resamples."""
    return measure_translation(translate_into(system, targets, real, shots=shots, n=n), real, seed=seed)


def translate_into(
    system: "Translator", targets: Sequence[Target], real: RealImages, *, shots: int = 5, n: int = 1000
) -> dict[str, Translations]:
    """Translations by target, of contents and by exemplars that depend on nothing but the arguments.

    The exemplars are of the half of the real images that trains the classifiers; the others are the reference.

    Args:
        system: what translates.
        targets: the classes to translate into.
        real: images of every class, the targets among them.
        shots: exemplars of one translation.
        n: translations over all targets.

    Raises:
        ConfigError: if there is no target, a class has fewer images than two, or a target too few for exemplars in one
            half and two images in the other.
    """
    positive("shots", shots)
    each = max(2, int(positive("n", n)) // max(len(targets), 1))
    poor = [name for name, images in real.images.items() if len(images) < 2]
    poor += [one.name for one in targets if len(real.fitted(one.name)) < shots or len(real.reference(one.name)) < 2]
    if poor or not targets:
        raise ConfigError(
            f"too few images of {', '.join(sorted(set(poor))) or 'any class'}: half of them are kept for the comparison, 2 "
            f"or more where translations go, and the others must be {shots} or more there."
        )
    return {
        target.name: _translated(system, target, real.fitted(target.name), number, each, shots)
        for number, target in enumerate(targets)
    }


def _translated(
    system: "Translator", target: Target, exemplars: Tensor, number: int, count: int, shots: int
) -> Translations:
    rows = range(len(target.content)) if target.rows is None else target.rows
    chosen, shown = pairing(count, number, len(rows), len(exemplars), shots)
    codes = system.encode_each(from_uint8(exemplars), **target.options)
    content = target.content[[rows[place] for place in chosen]]
    averaged = torch.stack([codes[rows].mean(dim=0) for rows in shown])
    drawn = system.redraw(from_uint8(content), averaged, **target.options)
    return Translations(to_uint8(drawn), content)
