"""What of KG-GAN is saved as the generator: the drawing network, the embedding network and the table of categories."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lowshotgan.data.knowledge import Knowledge
from lowshotgan.data.knowledge_report import outside_span, span
from lowshotgan.systems.kggan.config import KGGANConfig
from lowshotgan.systems.kggan.networks import (
    EmbeddingNets,
    PlainDiscriminator,
    PlainGenerator,
    ResidualDiscriminator,
    ResidualGenerator,
)

FAR = 2.0
"""A vector farther from every seen one than so many times the usual distance between neighbours is told as far."""
OFF_SPAN = 0.2
"""Share of a vector that may point where no seen vector does before it is told as far."""


class CategoryTable(nn.Module):
    """Vectors of all categories, and how a raw vector becomes one the networks see.

    ``(raw - centre) / scale``, then principal components if wanted, then divided by the mean length of the seen ones;
    all from seen categories only.
    """

    centre: Tensor
    scale: Tensor
    projection: Tensor
    length: Tensor
    vectors: Tensor
    is_seen: Tensor

    def __init__(self, config: KGGANConfig) -> None:
        super().__init__()
        raw, used, count = len(config.dimensions), config.embedding_dim, len(config.categories)
        self.listed = config.listed
        self.register_buffer("centre", torch.zeros(raw))
        self.register_buffer("scale", torch.ones(raw))
        self.register_buffer("projection", torch.zeros(raw, used) if config.components else torch.zeros(0, 0))
        self.register_buffer("length", torch.ones(()))
        self.register_buffer("vectors", torch.zeros(count, used))
        self.register_buffer("is_seen", torch.tensor([name in config.seen for name in config.categories]))

    @torch.no_grad()
    def fit(self, knowledge: Knowledge) -> None:
        """Take the vectors of ``knowledge``, which has the categories of the configuration in their order."""
        seen = knowledge.vectors[self.is_seen]
        self.centre = seen.mean(dim=0)
        spread = seen.std(dim=0, unbiased=False)
        self.scale = torch.where(spread > 1e-8, spread, torch.ones_like(spread))
        if self.projection.numel():
            centred = ((seen - self.centre) / self.scale).double()
            directions = torch.linalg.svd(centred, full_matrices=False)[2]
            self.projection = directions[: self.projection.shape[1]].T.float().contiguous()
        self.length = torch.ones(())
        self.length = self.encode(seen).norm(dim=1).mean().clamp(min=1e-8)
        self.vectors = self.encode(knowledge.vectors)

    def encode(self, raw: Tensor) -> Tensor:
        """``(N, d)`` vectors as the user gives them to ``(N, embedding_dim)``."""
        even = (raw - self.centre) / self.scale
        return (even @ self.projection if self.projection.numel() else even) / self.length

    def decode(self, vectors: Tensor) -> Tensor:
        """The inverse of ``encode``; with principal components, up to what they leave out."""
        even = vectors * self.length
        return (even @ self.projection.T if self.projection.numel() else even) * self.scale + self.centre

    def is_far(self, vectors: Tensor) -> Tensor:
        """``(N,)`` whether encoded ``vectors`` lie far from all seen ones, by distance or by direction."""
        vectors, seen = vectors.cpu(), self.vectors[self.is_seen].cpu()  # not every device has the float64 of ``span``
        between = torch.cdist(seen, seen).fill_diagonal_(torch.inf).amin(dim=1)
        off = outside_span(vectors, seen.mean(dim=0), span(seen)) > OFF_SPAN
        return (torch.cdist(vectors, seen).amin(dim=1) > FAR * between.max()) | off


class KnowledgeGenerator(nn.Module):
    """G1 and G2 as two entries to one network, with E and the table beside it.

    Args:
        config: of the system.
    """

    def __init__(self, config: KGGANConfig) -> None:
        super().__init__()
        self.one_hot = {"seen": config.seen_indication == "one_hot", "unseen": config.unseen_indication == "one_hot"}
        self.listed, self.z_dim = config.listed, config.z_dim
        category_dim = config.listed * any(self.one_hot.values())
        category_dim += config.embedding_dim * (not all(self.one_hot.values()))
        self.network: nn.Module
        if config.backbone == "residual":
            self.network = ResidualGenerator(
                config.resolution, category_dim, z_dim=config.z_dim, width=config.width, cell=config.cell
            )
        else:
            self.network = PlainGenerator(
                config.resolution,
                category_dim,
                z_dim=config.z_dim,
                width=config.width,
                condition_dim=config.condition_dim,
                cell=config.cell,
            )
        self.embedding = make_embedding(config)
        self.table = CategoryTable(config)

    def seen(self, latents: Tensor, categories: Tensor, *, network: nn.Module | None = None) -> Tensor:
        """G1: images of seen categories (rows of the table), by this network or a copy of it."""
        images: Tensor = (network or self.network)(latents, self.indication(categories, "seen"))
        return images

    def unseen(self, latents: Tensor, categories: Tensor, *, network: nn.Module | None = None) -> Tensor:
        """G2: images of unseen categories, by the same network."""
        images: Tensor = (network or self.network)(latents, self.indication(categories, "unseen"))
        return images

    def indication(self, categories: Tensor, side: str) -> Tensor:
        """What the network is told of rows ``(B,)`` of the table, by the form of the side "seen" or "unseen"."""
        one_hot = self.one_hot[side]
        empty = self.table.vectors.new_zeros(len(categories), self.listed)
        numbers = empty.scatter(1, categories[:, None], 1.0) if one_hot else empty
        return self._beside(numbers, None if one_hot else self.table.vectors[categories])

    def indication_of(self, vectors: Tensor) -> Tensor:
        """What the network is told of encoded vectors ``(B, embedding_dim)`` that need be in no table."""
        return self._beside(self.table.vectors.new_zeros(len(vectors), self.listed), vectors)

    def told(self, categories: Tensor) -> Tensor:
        """What the network is told of rows ``(B,)``, of each by the form of its own side."""
        listed = categories.clamp(max=self.listed - 1)
        seen = self.indication(listed if self.one_hot["seen"] else categories, "seen")
        unseen = self.indication(listed if self.one_hot["unseen"] else categories, "unseen")
        return torch.where(self.table.is_seen[categories][:, None], seen, unseen)

    def _beside(self, numbers: Tensor, vectors: Tensor | None) -> Tensor:
        parts = [numbers] if any(self.one_hot.values()) else []
        if not all(self.one_hot.values()):
            parts.append(self.table.vectors.new_zeros(len(numbers), self.table.vectors.shape[1]))
            parts[-1] = parts[-1] if vectors is None else vectors
        return torch.cat(parts, dim=1)


class AnyCategory(nn.Module):
    """The generating network with categories of its own choice, seen and unseen ones in turn, never in one batch."""

    def __init__(self, generator: KnowledgeGenerator) -> None:
        super().__init__()
        self.network = generator.network
        self._generator = [generator]  # in a list, so that its other parts are not sub-modules
        self._calls = 0

    def forward(self, latents: Tensor) -> Tensor:
        """Images of latents ``(B, z_dim)``."""
        generator = self._generator[0]
        is_seen = generator.table.is_seen[: generator.listed]
        side = "seen" if self._calls % 2 == 0 or bool(is_seen.all()) else "unseen"
        self._calls += 1
        rows = (is_seen if side == "seen" else ~is_seen).nonzero()[:, 0]
        chosen = rows[torch.arange(len(latents), device=rows.device) % len(rows)]
        images: Tensor = self.network(latents, generator.indication(chosen, side))
        return images


def make_discriminator(config: KGGANConfig) -> nn.Module:
    """D: it is told seen categories only."""
    category_dim = config.listed if config.seen_indication == "one_hot" else config.embedding_dim
    kind = ResidualDiscriminator if config.backbone == "residual" else PlainDiscriminator
    return kind(config.resolution, category_dim, width=config.discriminator_width, cell=config.cell)


def make_embedding(config: KGGANConfig) -> EmbeddingNets:
    """E, untrained."""
    return EmbeddingNets(config.embedding_nets, config.embedding_dim, width=config.embedding_width, cell=config.cell)


def rows_of(names: Sequence[str], categories: Sequence[str]) -> list[int]:
    """Position of each of ``names`` in ``categories``."""
    place = {name: index for index, name in enumerate(categories)}
    return [place[name] for name in names]
