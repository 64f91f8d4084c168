"""What holds the adapted generator near its source (the third slot of a recipe, a list).

A regularizer sees pairs of features, pairs of parameters or images it asks for, never the training loop.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from lowshotgan.draws import Draws
from lowshotgan.finetune.fisher import empirical_fisher, generator_loss
from lowshotgan.finetune.parts import Part, need, need_number
from lowshotgan.finetune.twins import find_twins, unlikeness
from lowshotgan.losses.knowledge import elastic_weights
from lowshotgan.losses.relations import contrast, relation_consistency
from lowshotgan.nets.stylegan2 import Generator
from lowshotgan.processes import own_share, whole_batch
from lowshotgan.types import Weight

Features = Sequence[Tensor]
"""Maps of the synthesis network: index 0 at 4x4, then two per resolution; ``(B, C, r, r)`` each."""


class Scene(Protocol):
    """What a regularizer may look at in one generator step."""

    @property
    def draws(self) -> Draws:
        """Where random choices come from."""

    @property
    def count(self) -> int:
        """Images of this step in this process."""

    def features(self, *, fresh: bool) -> tuple[Features, Features]:
        """Maps of (source, adapted) for the same latents and noise: of this step's images, or of fresh latents."""

    def parameters(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Values of the generator's changed parameters: (source, adapted)."""

    def draw(self, styles: Tensor) -> Tensor:
        """Images ``(B, 3, R, R)`` of the adapted generator for styles ``(B, L, w_dim)``, with fresh noise."""


@dataclass(frozen=True)
class SourceModel:
    """The model a run starts from, for what is computed once.

    Attributes:
        generator: frozen source generator.
        discriminator: its discriminator.
        changed: names of the generator parameters that fine-tuning changes.
        seed: of random numbers used once.
        images: ``(K, 3, R, R)`` target images in [-1, 1], for regularizers that need them.
    """

    generator: Generator
    discriminator: nn.Module
    changed: Sequence[str]
    seed: int
    images: Tensor | None = None


Penalty = Callable[[Scene], Tensor]


@dataclass(frozen=True)
class Regularizer(Part):
    """Base of all regularizers; ``kind`` is also the name of the loss term.

    ``min_batch`` is the smallest batch, over all processes, that it can compare anything in.
    """

    min_batch: ClassVar[int] = 1

    def build(self, source: SourceModel) -> Penalty:
        """The penalty as a function of one generator step: ``(B,)`` or ``()``."""
        raise TypeError(f"{type(self).__name__} is only a base; use one of {', '.join(REGULARIZERS)}.")

    def schedule(self) -> Weight:
        """Multiplier of the penalty."""
        return 1.0


@dataclass(frozen=True)
class Fading(Regularizer):
    """Base of regularizers whose weight may fall during the run.

    Attributes:
        weight: multiplier.
        end: weight at the end of the run, reached along a cosine; ``None`` for constant.
    """

    weight: float = 1.0
    end: float | None = None

    def __post_init__(self) -> None:
        need_number(f"{self.kind}.weight", self.weight, 0)
        need_number(f"{self.kind}.end", self.weight if self.end is None else self.end, 0)

    def schedule(self) -> Weight:
        return decay(self.weight, self.end)


@dataclass(frozen=True)
class Relation(Fading):
    """Who resembles whom stays as in the source (CDC, Ojha et al. 2021).

    Attributes:
        weight: on the mean divergence in nats per row. The paper's 1000 on an element mean over rows of 3 is 333 here.
        end: weight at the end of the run, reached along a cosine; ``None`` for constant.
        fresh: draw own latents, as the paper does; else this step's images are used, which saves a forward and a
            backward pass of the adapted generator.
        group: samples compared with one another, at least 3; see ``strided_groups``.
    """

    weight: float = 333.0
    end: float | None = None
    fresh: bool = False
    group: int = 4
    kind: ClassVar[str] = "relation"
    min_batch: ClassVar[int] = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        need_number("relation.group", self.group, 3)

    def build(self, source: SourceModel) -> Penalty:
        return lambda scene: _relation(*scene.features(fresh=self.fresh), scene.draws, self.group)


@dataclass(frozen=True)
class Contrast(Fading):
    """Each adapted image's features are nearest to those of the source image of its latent (DCL, Zhao et al. 2022).

    Attributes:
        weight: multiplier.
        end: weight at the end of the run, reached along a cosine; ``None`` for constant.
        temperature: divides cosine similarities.
        fresh: draw own latents instead of using this step's images.
        group: samples compared with one another.
    """

    weight: float = 0.5
    end: float | None = None
    temperature: float = 0.07
    fresh: bool = False
    group: int = 4
    kind: ClassVar[str] = "contrast"
    min_batch: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        need_number("contrast.temperature", self.temperature, 1e-3)
        need_number("contrast.group", self.group, 2)

    def build(self, source: SourceModel) -> Penalty:
        return lambda scene: self._value(*scene.features(fresh=self.fresh), scene.draws)

    def _value(self, source: Features, target: Features, draws: Draws) -> Tensor:
        layer = 1 + draws.shared_integer(len(source) - 1)
        before, now = whole_batch(source[layer].float()), whole_batch(target[layer].float())
        values = torch.zeros(len(now), device=now.device)
        for members in strided_groups(len(now), self.group):
            values[members] = contrast(now[members], before[members], temperature=self.temperature)
        return own_share(values)


@dataclass(frozen=True)
class Ewc(Regularizer):
    """Parameters that matter to the source stay near their values (EWC, Li et al., NeurIPS 2020).

    Attributes:
        weight: multiplier of the sum over parameters.
        samples: single latents the Fisher information is estimated from.
        raw: use the Fisher information as it is (the paper, with weight 5e8) instead of scaled to mean 1.
    """

    weight: float = 1.0
    samples: int = 250
    raw: bool = False
    kind: ClassVar[str] = "ewc"

    def __post_init__(self) -> None:
        need_number("ewc.weight", self.weight, 0)
        need_number("ewc.samples", self.samples, 1)

    def build(self, source: SourceModel) -> Penalty:
        importance: dict[str, Tensor] = {}

        def penalty(scene: Scene) -> Tensor:
            if not importance:  # on first use: a resumed run makes the same
                importance.update(source_importance(source, samples=self.samples, raw=self.raw))
            before, now = scene.parameters()
            return elastic_weights(now, before, importance)

        return penalty

    def schedule(self) -> Weight:
        return self.weight


@dataclass(frozen=True)
class Twins(Fading):
    """Samples with the outlines of the K images become those images (after JoJoGAN, Chong & Forsyth, ECCV 2022).

    The adversarial loss says that images must look like the target; this says what becomes of a line, a surface and
    the ground of the source. The distance is that of the source discriminator's features, of pixels and of edges.

    Attributes:
        weight: multiplier.
        end: weight at the end of the run, reached along a cosine; ``None`` for constant.
        candidates: samples of the source the twins are looked for in.
        spread: the styles of a twin are moved by up to this share of the way to those of a random sample.
    """

    weight: float = 10.0
    end: float | None = None
    candidates: int = 1000
    spread: float = 0.2
    kind: ClassVar[str] = "twins"

    def __post_init__(self) -> None:
        super().__post_init__()
        need_number("twins.candidates", self.candidates, 1)
        need_number("twins.spread", self.spread, 0, 1)

    def build(self, source: SourceModel) -> Penalty:
        need(source.images is not None, "twins needs the target images; pass images= to build_stage.")
        images = cast(Tensor, source.images)
        twins = find_twins(source.generator, images, candidates=self.candidates, seed=source.seed)

        def penalty(scene: Scene) -> Tensor:
            which = scene.draws.integers(len(twins), scene.count)
            with torch.no_grad():
                others = source.generator.mapping(scene.draws.normal(scene.count, source.generator.z_dim)).float()
            share = self.spread * scene.draws.uniform(scene.count, 1, 1)
            styles = twins[which].lerp(source.generator.broadcast(others), share)
            return unlikeness(source.discriminator, scene.draw(styles), images[which])

        return penalty


def source_importance(source: SourceModel, *, samples: int, raw: bool) -> dict[str, Tensor]:
    """Fisher information of the source generator's parameters under ``softplus(-D(G(z)))``, one sample at a time.

    Args:
        source: the model.
        samples: number of latents.
        raw: leave the scale as it is; else the mean over all values is 1.
    """
    generator = copy.deepcopy(source.generator).requires_grad_(True)
    parameters = {name: value for name, value in generator.named_parameters() if name in set(source.changed)}
    draws = Draws(source.seed, device=next(generator.parameters()).device)
    latents = draws.normal(samples, generator.z_dim).split(1)
    with torch.autocast(draws.device.type, enabled=False):  # squares of small gradients
        fisher = empirical_fisher(generator_loss(generator, source.discriminator), parameters, latents)
    if raw:
        return fisher
    count = sum(value.numel() for value in fisher.values())
    mean = sum(float(value.sum()) for value in fisher.values()) / count
    return {name: value / max(mean, 1e-30) for name, value in fisher.items()}


def decay(start: float, end: float | None) -> Weight:
    """``start``, or a cosine from ``start`` to ``end`` over the run."""
    if end is None or end == start:
        return start
    return lambda progress: end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


def strided_groups(batch: int, group: int) -> list[Tensor]:
    """Split ``range(batch)`` into n groups: of the largest divisor in [3, group], else of ``group`` or a few more.

    Group i holds the samples i, i + n, i + 2 n, ... as that of the minibatch deviation does.
    """
    size = next((size for size in range(min(group, batch), 2, -1) if batch % size == 0), group)
    count = max(batch // size, 1)
    return [torch.arange(first, batch, count) for first in range(count)]


def _relation(source: Features, target: Features, draws: Draws, group: int) -> Tensor:
    """Divergence of each sample's relations at one random layer of its own, the first (4x4) left out: ``(B,)``."""
    layers = whole_batch(1 + draws.integers(len(source) - 1, len(source[0])))
    values = torch.zeros(len(layers), device=layers.device)
    groups = strided_groups(len(layers), group)
    for layer in layers.unique().tolist():
        before, now = whole_batch(source[layer].float()), whole_batch(target[layer].float())
        for members in groups:
            chosen = layers[members] == layer
            if chosen.any():
                rows = relation_consistency(before[members], now[members])
                values[members.to(chosen.device)[chosen]] = rows[chosen]
    return own_share(values)


REGULARIZERS: dict[str, type[Regularizer]] = {part.kind: part for part in (Relation, Contrast, Ewc, Twins)}
