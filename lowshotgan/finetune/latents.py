"""Where latents come from during fine-tuning (the second slot of a recipe)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.finetune.parts import Part, need, need_number


class StyleNet(Protocol):
    """What latents need of a generator, adapted or not."""

    def mapping(self, z: Tensor, /) -> Tensor: ...

    def truncate(self, w: Tensor, psi: float) -> Tensor: ...

    def broadcast(self, w: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class LatentDraw:
    """Latents of one batch.

    Attributes:
        z: ``(B, z_dim)``.
        second: ``(B, z_dim)`` latents whose style is used from layer ``crossover`` on, or ``None``.
        crossover: layer index.
        psi: truncation.
        whole: judge whole images (``True``), patches (``False``), or leave it to the discriminator head (``None``).
    """

    z: Tensor
    second: Tensor | None = None
    crossover: int = 0
    psi: float = 1.0
    whole: bool | None = None

    def styles(self, generator: StyleNet) -> Tensor:
        """``(B, L, w_dim)`` styles for ``generator``."""
        ws = generator.broadcast(generator.truncate(generator.mapping(self.z), self.psi))
        if self.second is None:
            return ws
        others = generator.broadcast(generator.truncate(generator.mapping(self.second), self.psi))
        return torch.cat([ws[:, : self.crossover], others[:, self.crossover :]], dim=1)


class LatentSource:
    """Draws latents for one run.

    Args:
        z_dim: length of a latent.
        layers: number of styles L.
        mixing: probability that a batch mixes two styles from a random layer on (Karras et al. 2019).
        psi: truncation.
        anchors: ``(K, z_dim)`` fixed latents, or ``None``.
        std: spread around an anchor.
        every: each n-th step stays near the anchors.
    """

    def __init__(
        self,
        z_dim: int,
        layers: int,
        *,
        mixing: float = 0.0,
        psi: float = 1.0,
        anchors: Tensor | None = None,
        std: float = 0.0,
        every: int = 1,
    ) -> None:
        self.z_dim, self.layers = z_dim, layers
        self.mixing, self.psi = mixing, psi
        self.anchors, self.std, self.every = anchors, std, every

    def draw(self, batch: int, step: int, draws: Draws) -> LatentDraw:
        """Latents for ``batch`` images of this process at ``step``."""
        if self.anchors is not None and step % self.every == 0:
            return self._near_anchors(batch, draws)
        whole = None if self.anchors is None else False
        z = draws.normal(batch, self.z_dim)
        if self.mixing == 0 or draws.shared_uniform() >= self.mixing:
            return LatentDraw(z, psi=self.psi, whole=whole)
        second, crossover = draws.normal(batch, self.z_dim), 1 + draws.shared_integer(self.layers - 1)
        return LatentDraw(z, second, crossover, self.psi, whole)

    def gaussian(self, batch: int, draws: Draws) -> LatentDraw:
        """Plain latents, one style each."""
        return LatentDraw(draws.normal(batch, self.z_dim), psi=self.psi)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.anchors is None else {"anchors": self.anchors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if "anchors" in state:
            self.anchors = state["anchors"]

    def _near_anchors(self, batch: int, draws: Draws) -> LatentDraw:
        assert self.anchors is not None
        which = draws.integers(len(self.anchors), batch)
        anchors = self.anchors.to(which.device)[which]  # (B, z_dim)
        return LatentDraw(anchors + self.std * draws.normal(batch, self.z_dim), psi=self.psi, whole=True)


@dataclass(frozen=True)
class Latents(Part):
    """Base of all latent sources."""

    def build(self, z_dim: int, layers: int, *, seed: int) -> LatentSource:
        """A source of latents; ``seed`` fixes whatever stays the same during the run."""
        return LatentSource(z_dim, layers)


@dataclass(frozen=True)
class Gaussian(Latents):
    """Standard normal latents; ``mixing`` is the probability of style mixing."""

    mixing: float = 0.9
    kind: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        need_number("gaussian.mixing", self.mixing, 0, 1)

    def build(self, z_dim: int, layers: int, *, seed: int) -> LatentSource:
        return LatentSource(z_dim, layers, mixing=self.mixing)


@dataclass(frozen=True)
class Anchors(Latents):
    """Every n-th step near K fixed latents, judged as whole images; else normal, judged by patches (CDC, Ojha 2021).

    Attributes:
        std: spread around an anchor.
        every: each n-th step uses anchors.
        count: number of anchors; 0 for as many as there are images.
        mixing: probability of style mixing in the other steps.
    """

    std: float = 0.1
    every: int = 4
    count: int = 0
    mixing: float = 0.9
    kind: ClassVar[str] = "anchors"

    def __post_init__(self) -> None:
        need_number("anchors.std", self.std, 0, 1)
        need_number("anchors.every", self.every, 1)
        need_number("anchors.count", self.count, 0)
        need_number("anchors.mixing", self.mixing, 0, 1)

    def build(self, z_dim: int, layers: int, *, seed: int) -> LatentSource:
        need(self.count > 0, "anchors.count is 0; it is set to the number of images by fit_to(recipe, k=...).")
        anchors = Draws(seed).normal(self.count, z_dim)
        return LatentSource(z_dim, layers, mixing=self.mixing, anchors=anchors, std=self.std, every=self.every)


@dataclass(frozen=True)
class Truncated(Latents):
    """Normal latents with styles pulled towards the average (GenDA, Yang et al. 2021); ``psi`` 1 is off."""

    psi: float = 0.7
    kind: ClassVar[str] = "truncated"

    def __post_init__(self) -> None:
        need_number("truncated.psi", self.psi, 0, 1)

    def build(self, z_dim: int, layers: int, *, seed: int) -> LatentSource:
        return LatentSource(z_dim, layers, psi=self.psi)


LATENTS: dict[str, type[Latents]] = {part.kind: part for part in (Gaussian, Anchors, Truncated)}
