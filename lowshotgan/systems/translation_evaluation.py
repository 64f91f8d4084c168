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
from lowshotgan.metrics.translation import Translations, measure_translation, pairing

if TYPE_CHECKING:
    from lowshotgan.systems.translation import Translator


@dataclass(frozen=True)
class Target:
    """A class to translate into.

    Attributes:
        name: of the class, as among the real images.
        content: ``(N, 3, H, W)`` uint8, what may be translated.
        options: of ``generate``, such as the direction between two domains.
    """

    name: str
    content: Tensor
    options: Mapping[str, Any] = field(default_factory=dict)


def evaluate_translator(
    system: "Translator",
    targets: Sequence[Target],
    classes: Mapping[str, Tensor],
    *,
    shots: int = 5,
    n: int = 1000,
    extractor: str = "auto",
    seed: int = 0,
) -> MetricReport:
    """Translate into every target by exemplars of it, and score the translations.

    Of the real images of each class every other one trains the classifiers and lends the exemplars; the rest are the
    reference.

    Args:
        system: what translates.
        targets: the classes to translate into.
        classes: real images ``(N, 3, H, W)`` uint8 by class, the targets among them.
        shots: exemplars of one translation.
        n: translations over all targets.
        extractor: network behind the scores.
        seed: of subsets and resamples.

    Raises:
        ConfigError: if there is no target, or a class has fewer images than two, or than twice the shots.
    """
    positive("shots", shots)
    each = max(2, int(positive("n", n)) // max(len(targets), 1))
    poor = [name for name, images in classes.items() if len(images) < 2]
    poor += [one.name for one in targets if len(classes[one.name][::2]) < shots]
    if poor or not targets:
        raise ConfigError(
            f"too few images of {', '.join(sorted(set(poor))) or 'any class'}: half of them are kept for the comparison, "
            f"the others must be {shots} or more where translations go."
        )
    made = {
        target.name: _translated(system, target, classes[target.name][::2], number, each, shots)
        for number, target in enumerate(targets)
    }
    fitted = {name: images[::2] for name, images in classes.items()}
    reference = {name: images[1::2] for name, images in classes.items()}
    return measure_translation(made, fitted, reference, extractor=extractor, seed=seed)


def _translated(
    system: "Translator", target: Target, exemplars: Tensor, number: int, count: int, shots: int
) -> Translations:
    contents, shown = pairing(count, number, len(target.content), len(exemplars), shots)
    codes = system.encode_each(from_uint8(exemplars), **target.options)
    content = target.content[contents]
    averaged = torch.stack([codes[rows].mean(dim=0) for rows in shown])
    drawn = system.redraw(from_uint8(content), averaged, **target.options)
    return Translations(to_uint8(drawn), content)
