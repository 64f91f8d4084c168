"""Categories as users write them - names, attributes, numbers, a table - and what the networks are told of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8, to_uint8
from lowshotgan.data.knowledge import TEXTS, Attributes, Knowledge, attribute_vector
from lowshotgan.errors import ConfigError
from lowshotgan.messages import warn
from lowshotgan.systems.kggan.config import KGGANConfig
from lowshotgan.systems.kggan.generator import KnowledgeGenerator, rows_of

Category = str | Attributes | Tensor | np.ndarray | Sequence[Any]
MOST_COMPONENTS = 64
"""Principal components of text embeddings, unless told otherwise."""
NETS_FOR_TEXTS = 3


def as_knowledge(given: Any) -> Knowledge:
    """A ``Knowledge`` from one, from ``{"name": {"group": "value"}}``, or from the path of a table."""
    if isinstance(given, Knowledge):
        return given
    if not isinstance(given, str | Path | Mapping):
        raise ConfigError(
            f"knowledge must be a Knowledge, attributes by category or the path of a table, got a {type(given).__name__}."
        )
    return Knowledge.from_attributes(given) if isinstance(given, Mapping) else Knowledge.from_file(given)


def about_knowledge(knowledge: Knowledge, seen: Sequence[str], *, mixed: bool) -> dict[str, Any]:
    """Fields of the configuration that the knowledge decides, unless the user does.

    Args:
        knowledge: of all categories.
        seen: those with images.
        mixed: whether principal components mix the dimensions, which leaves no groups for the usual nuisances.
    """
    protection = {} if mixed and knowledge.nuisance is None else knowledge.protection
    about: dict[str, Any] = {
        "categories": knowledge.names,
        "seen": tuple(seen),
        "dimensions": knowledge.dimensions,
        "nuisance": tuple(f"{group}:{transform}" for group, transform in protection.items()),
        "knowledge_source": knowledge.source,
    }
    if knowledge.source == TEXTS:
        about["components"] = max(0, min(MOST_COMPONENTS, len(knowledge.dimensions), len(seen) - 1))
        about["embedding_nets"] = NETS_FOR_TEXTS
    return about


def read_category(
    given: Category | None, dimensions: Sequence[str]
) -> str | Mapping[str, Any] | Tensor | list[str] | None:
    """A name, names, attributes, a vector ``(d,)`` or vectors ``(N, d)`` from what a user wrote.

    Raises:
        ConfigError: for a list that is none of these.
    """
    if given is None or isinstance(given, str | Mapping | Tensor):
        return given
    entries = list(given) if isinstance(given, Sequence) or np.ndim(given) else []
    if entries and all(isinstance(one, str) for one in entries):
        return [str(one) for one in entries]
    if entries and all(isinstance(one, Mapping) for one in entries):
        return torch.stack([attribute_vector(one, dimensions) for one in entries])
    try:
        return torch.stack([torch.as_tensor(one, dtype=torch.float32) for one in entries])
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            "category must be a name, attributes or a vector, or a list of one of these kinds with an entry for each "
            f"image; got {str(given)[:80]}."
        ) from error


def ready_images(images: Any, side: int) -> Tensor:
    """``(K, 3, side, side)`` in [-1, 1] of what ``load_images`` takes; a float tensor ``(K, 3, H, W)`` is in [-1, 1]."""
    if isinstance(images, Tensor) and images.is_floating_point() and images.ndim == 4:
        if images.shape[2:] == (side, side):
            return images
        images = to_uint8(images)
    return from_uint8(load_images(images, resolution=side).uint8())


def encoded(generator: KnowledgeGenerator, config: KGGANConfig, given: Any, name: str) -> Tensor:
    """``(N, embedding_dim)`` of a vector, vectors or attributes; says so if it is far from all seen ones.

    Raises:
        ConfigError: for attributes or a number of dimensions that the model does not have, or no numbers.
    """
    try:
        raw = attribute_vector(given, config.dimensions) if isinstance(given, Mapping) else torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{name} needs attributes or a vector of numbers, got {str(given)[:80]}.") from error
    raw = raw.float().reshape(-1, raw.shape[-1] if raw.ndim else 1).to(generator.table.vectors.device)
    if raw.shape[1] != len(config.dimensions) or not torch.isfinite(raw).all():
        raise ConfigError(
            f"{name} has a vector of length {raw.shape[1]}; this model needs {len(config.dimensions)} finite "
            "numbers, in the order of model.knowledge.dimensions."
        )
    vectors = generator.table.encode(raw)
    if bool(generator.table.is_far(vectors).any()):
        warn(f"{name} lies far from every category with images; what is drawn there is a guess.")
    return vectors


def indication(
    generator: KnowledgeGenerator, config: KGGANConfig, category: Any, seeds: Sequence[int] | None, count: int
) -> Tensor:
    """``(count, k)`` what the generating network is told.

    Args:
        generator: with the table.
        config: of the system.
        category: what ``read_category`` gave; ``None`` lets each seed draw one of all.
        seeds: of the images; 0 to ``count`` - 1 if left out.
        count: images.

    Raises:
        ConfigError: for unknown names, or a number of categories other than 1 and ``count``.
    """
    if isinstance(category, Tensor | Mapping):
        vectors = encoded(generator, config, category, "the category")
        if config.unseen_indication == "one_hot":
            raise ConfigError("this model tells unseen categories one-hot; pass the name of a category it knows.")
        if len(vectors) not in (1, count):
            raise ConfigError(f"{len(vectors)} vectors for {count} images; pass one vector, or one for each image.")
        return generator.indication_of(vectors.expand(count, -1))
    names = config.categories
    if category is None:
        picks = [torch.Generator().manual_seed(number) for number in (seeds if seeds is not None else range(count))]
        rows = [int(torch.randint(2**31, (1,), generator=pick)) % len(names) for pick in picks]
    else:
        chosen = [category] * count if isinstance(category, str) else list(category)
        if len(chosen) != count:
            raise ConfigError(f"{len(chosen)} categories for {count} images; pass one, or one for each image.")
        rows = rows_of([one_of("category", name, names) for name in chosen], names)
    return generator.told(torch.tensor(rows, device=generator.table.vectors.device))
