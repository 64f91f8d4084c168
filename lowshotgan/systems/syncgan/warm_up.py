"""An optional stage between synchronizer and adversarial training: every generator learns to redraw real items.

    item -> tower of the synchronizer -> optimal transport to noise -> concept;  what the tower does not tell -> private
    (concept, private) -> generator of the modality -> item

It is no part of the paper. The towers put items of one concept in one place whatever their modality, so generators that
redraw from there agree before they have met a discriminator. Transport from noise, in place of the embedding itself,
leaves no codes that no item belongs to.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lowshotgan.errors import ConfigError
from lowshotgan.losses.reconstruction import absolute_difference, pyramid_error
from lowshotgan.losses.transport import transport_partners
from lowshotgan.systems.syncgan.config import SyncGANTraining
from lowshotgan.systems.syncgan.data import SyncData
from lowshotgan.systems.syncgan.networks import Concat, JointGenerator, TwoTower
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage

FITTED = 4000
"""At most this many items of each modality are used to find the components."""
POOL = 256
"""Items of each modality that are matched with noise at once; a share of them, ``batch_size`` in all, is redrawn."""
CODE_NOISE = 0.5
"""Standard deviation of the noise on private codes: neighbouring codes draw similar items, and what a private code still
tells of the concept counts less than the concept itself."""
BLUR = 0.02
"""How far the transport is from the cheapest; see ``transport_partners``."""


class PrivateCodes(nn.Module):
    """What a modality shows beyond its embedding: whitened principal components of what linear regression leaves over.

    Args:
        items: ``(N, C, H, W)`` in [-1, 1].
        embeddings: ``(N, e)`` of the items.
        dim: length of a code; components there are none of are 0.
    """

    rest: Tensor
    basis: Tensor

    def __init__(self, items: Tensor, embeddings: Tensor, dim: int) -> None:
        super().__init__()
        flat = items.flatten(1)
        solved = torch.linalg.lstsq(_with_one(embeddings), flat, driver="gelsd").solution
        left = flat - _with_one(embeddings) @ solved
        used = min(dim, *left.shape)
        _, _, basis = torch.pca_lowrank(left, q=used, center=False, niter=3)
        if used:
            basis = basis / (left @ basis).std(dim=0, unbiased=False).clamp(min=1e-4)
        self.register_buffer("rest", solved)
        self.register_buffer("basis", nn.functional.pad(basis, (0, dim - used)))

    def forward(self, items: Tensor, embeddings: Tensor) -> Tensor:
        """``(N, dim)`` with mean 0 and variance 1 over the items it was fitted to."""
        codes: Tensor = (items.flatten(1) - _with_one(embeddings) @ self.rest) @ self.basis
        return codes


class Redrawing:
    """How far the generators are from redrawing real items from codes.

    Args:
        synchronizer: trained; it stays as it is.
        live: the generators that are trained.
        data: items, of which the components of codes are found.
        share: of the items of a pool that are redrawn.
        seed: of the randomised decompositions.

    Raises:
        ConfigError: if the synchronizer has no towers, whose embeddings could be compared between modalities.
    """

    def __init__(
        self, synchronizer: TwoTower | Concat, live: JointGenerator, data: SyncData, *, share: float, seed: int
    ) -> None:
        if isinstance(synchronizer, Concat):
            raise ConfigError(
                "warm_up_steps needs synchronizer='two_tower', which embeds all modalities in one space."
            )
        self.synchronizer, self.live, self.share = synchronizer.eval(), live, share
        self.private = nn.ModuleDict()
        device, embeddings = synchronizer.offset.device, []
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            for name, values in data.values.items():
                fitted = values[:: max(1, len(values) // FITTED)]
                found = torch.cat([synchronizer.embed(part.to(device), name).cpu() for part in fitted.split(POOL)])
                self.private[name] = PrivateCodes(fitted, found, live.privates[name]).to(device)
                embeddings.append(found)
            together = torch.cat(embeddings)
            used = min(live.concept_dim, *together.shape)
            self.axes = torch.pca_lowrank(together, q=used, niter=3)[2].to(device)  # (e, used)

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """``redrawing_<modality>`` of the first items of each pool."""
        terms = {}
        for name in self.live.parts:
            pool = batch.images[f"any/{name}"]
            shown = pool[: max(1, round(self.share * len(pool)))]
            with torch.no_grad():
                code = self.code(pool, name, batch)[: len(shown)]
            terms[f"redrawing_{name}"] = redrawing_error(self.live.decode(code, name), shown)
        return terms

    def code(self, items: Tensor, name: str, batch: Batch) -> Tensor:
        """``(N, c + p)`` codes of a pool of items: noise that transport gives them, then their private parts."""
        embeddings = self.synchronizer.embed(items, name)
        noise = batch.draws.normal(len(items), self.live.concept_dim)
        places = embeddings @ self.axes  # (N, used)
        cost = -places @ noise[:, : places.shape[1]].T
        concept = noise[transport_partners(cost, batch.draws.uniform(len(items)), blur=BLUR)]
        private = self.private[name](items, embeddings)
        return torch.cat([concept, private + CODE_NOISE * batch.draws.normal(*private.shape)], dim=1)


def redrawing_error(drawn: Tensor, items: Tensor) -> Tensor:
    """``(B,)`` mean absolute difference, over several resolutions where there are any."""
    return pyramid_error(drawn, items) if min(items.shape[2:]) > 1 else absolute_difference(drawn, items)


def warm_up_stage(
    redrawing: Redrawing,
    averaged: JointGenerator,
    batches: Batches,
    training: SyncGANTraining,
    preview: Callable[[], Tensor],
) -> Stage:
    """One stage that trains the generators to redraw items; ``averaged`` is their average."""
    live = redrawing.live
    rates = ParamGroup(list(live.parameters()), lr=training.warm_up_lr, betas=(0.9, 0.99), decay=0.3)
    return Stage(
        name="warm_up",
        steps=training.warm_up_steps,
        batches=batches,
        groups={"generator": rates},
        phases=[Phase("warm_up", "generator", redrawing.terms, {f"redrawing_{name}": 1.0 for name in live.parts})],
        modules={"generator": live},
        averages={"generator": (live, averaged)},
        ema_half_life=50.0,
        preview=preview,
    )


def _with_one(values: Tensor) -> Tensor:
    """A column of ones beside ``(N, e)``."""
    return nn.functional.pad(values, (0, 1), value=1.0)
