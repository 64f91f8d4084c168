"""From one modality to another: the code that draws a given item, found by an encoder, by optimisation or among candidates.

The released method is plain descent from one start; here Adam from several starts, with a weak prior and the features of
the synchronizer's branch, keeps the best of each item.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lowshotgan.systems.syncgan.networks import Concat, JointGenerator, Judges, TwoTower

PRIOR, FEATURES = 1e-3, 0.1
"""Weights of the squared code, and of the cosine distance between features."""


@dataclass(frozen=True)
class Found:
    """Codes for some items.

    Attributes:
        latents: ``(N, z_dim)`` whole codes; private parts of other modalities are random.
        error: ``(N,)`` mean squared difference between each item and what its code draws.
    """

    latents: Tensor
    error: Tensor


@dataclass(frozen=True)
class Search:
    """How codes are found.

    Attributes:
        method: "encoder", "hybrid", "optimize" or "nearest".
        steps: of the optimisation; by default 50 for "hybrid" and 150 for "optimize".
        restarts: random starts of "optimize".
        candidates: of "nearest".
        seed: of everything random.
    """

    method: str
    steps: int | None = None
    restarts: int = 2
    candidates: int = 256
    seed: int = 0

    def find(self, generator: JointGenerator, judges: Judges | None, items: Tensor, names: tuple[str, str]) -> Found:
        """The codes of items of the first of two modalities; judges are needed but for "optimize"."""
        generator.eval()
        synchronizer = None if judges is None else judges.synchronizer.eval()
        source, seed = names[0], self.seed
        if self.method == "optimize":
            steps = self.steps or 150
            return invert(generator, synchronizer, items, source, steps=steps, restarts=self.restarts, seed=seed)
        assert judges is not None and synchronizer is not None
        if self.method == "nearest":
            return choose(generator, synchronizer, items, names, candidates=self.candidates, seed=seed)
        with torch.no_grad():
            start = judges.encoders.eval()[source](items)
        steps = 0 if self.method == "encoder" else self.steps or 50
        return invert(generator, synchronizer, items, source, steps=steps, start=start, seed=seed)


def invert(
    generator: JointGenerator,
    synchronizer: TwoTower | Concat | None,
    items: Tensor,
    name: str,
    *,
    steps: int,
    restarts: int = 1,
    start: Tensor | None = None,
    lr: float = 0.05,
    seed: int = 0,
) -> Found:
    """Optimise codes so that modality ``name`` draws ``items``, each by itself.

    Args:
        generator: in evaluation mode, so that items do not mix.
        synchronizer: gives features to compare; ``None`` compares pixels only.
        items: ``(N, C, H, W)`` in [-1, 1].
        name: of their modality.
        steps: of Adam for each start; 0 takes the start as it is.
        restarts: random starts, of which each item keeps its best.
        start: ``(N, c + p)`` codes of modality ``name`` to begin with, once, instead.
        lr: Adam's learning rate.
        seed: of the starts.
    """
    random = torch.Generator().manual_seed(seed)
    wanted = None if synchronizer is None else synchronizer.embed(items, name).detach()
    best = Found(torch.zeros(len(items), generator.z_dim, device=items.device), torch.full((len(items),), torch.inf))
    for _ in range(restarts if start is None else 1):
        codes = torch.randn(len(items), generator.z_dim, generator=random).to(items.device)
        if start is not None:
            codes[:, : generator.concept_dim] = start[:, : generator.concept_dim]
            codes[:, generator.private(name)] = start[:, generator.concept_dim :]
        codes.requires_grad_(True)
        optimizer = torch.optim.Adam([codes], lr=lr)
        with torch.enable_grad():
            for _ in range(steps):
                drawn = generator.one(codes, name)
                loss = squared_error(drawn, items).sum() + PRIOR * codes.square().mean(dim=1).sum()
                if synchronizer is not None and wanted is not None:
                    features = synchronizer.embed(drawn, name)
                    loss = loss + FEATURES * (1 - torch.cosine_similarity(features, wanted, dim=1)).sum()
                (codes.grad,) = torch.autograd.grad(loss, codes)
                optimizer.step()
        with torch.no_grad():
            error = squared_error(generator.one(codes, name), items).cpu()
        better = error < best.error
        latents = torch.where(better[:, None].to(codes.device), codes.detach(), best.latents)
        best = Found(latents, torch.where(better, error, best.error))
    return best


@torch.no_grad()
def choose(
    generator: JointGenerator,
    synchronizer: TwoTower | Concat,
    items: Tensor,
    names: tuple[str, str],
    *,
    candidates: int,
    seed: int = 0,
) -> Found:
    """Take, of many generated items of the second modality, the one the synchronizer likes best for each item.

    The error says how far the first modality of that code is from the item.
    """
    codes = torch.randn(candidates, generator.z_dim, generator=torch.Generator().manual_seed(seed)).to(items.device)
    drawn = torch.cat([generator.one(part, names[1]) for part in codes.split(64)])
    logits = torch.stack([synchronizer.combinations(one[None], drawn, names)[0] for one in items])
    chosen = codes[logits.argmax(dim=1)]
    return Found(chosen, squared_error(generator.one(chosen, names[0]), items).cpu())


def with_private(generator: JointGenerator, found: Found, name: str, *, seed: int) -> Tensor:
    """The codes with fresh private parts for every modality but ``name``: other looks of the same concept."""
    fresh = torch.randn(found.latents.shape, generator=torch.Generator().manual_seed(seed)).to(found.latents.device)
    for kept in (slice(generator.concept_dim), generator.private(name)):
        fresh[:, kept] = found.latents[:, kept]
    return fresh


def squared_error(drawn: Tensor, items: Tensor) -> Tensor:
    """``(N,)`` mean squared difference of each item."""
    return (drawn.float() - items.float()).square().flatten(1).mean(dim=1)
