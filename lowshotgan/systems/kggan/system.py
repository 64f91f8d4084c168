"""KG-GAN as a system: images of categories of which only a vector is known.

Chang, Yu, Chen and Chang, "KG-GAN: Knowledge-Guided Generative Adversarial Networks", arXiv 1905.12261. The method is
described in the published patent US 11379722; see the documentation of this system.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor

from lowshotgan.checks import keywords, parse_seeds
from lowshotgan.data.categories import CategoryBatches, CategorySet, category_names, load_categories
from lowshotgan.data.knowledge import Knowledge
from lowshotgan.data.knowledge_report import KnowledgeReport, knowledge_report
from lowshotgan.data.sources import open_source
from lowshotgan.draws import latents_from_seeds
from lowshotgan.errors import ConfigError
from lowshotgan.messages import warn
from lowshotgan.systems.base import make_config
from lowshotgan.systems.constrained import Constrained
from lowshotgan.systems.generation import Generation, OutputType, check_drawing, requested_latents
from lowshotgan.systems.kggan.config import KGGANConfig, KGGANFineTuning, KGGANTraining
from lowshotgan.systems.kggan.embedding import EmbeddingStages
from lowshotgan.systems.kggan.finetuning import finetune_stages
from lowshotgan.systems.kggan.generator import AnyCategory, KnowledgeGenerator, make_discriminator, rows_of
from lowshotgan.systems.kggan.stages import HEAD_START, KGGANLosses, View, adversarial_stage
from lowshotgan.systems.kggan.telling import (
    Category,
    about_knowledge,
    as_knowledge,
    encoded,
    indication,
    read_category,
    ready_images,
)
from lowshotgan.systems.kggan.warm_up import Redrawing, warm_up_stage
from lowshotgan.systems.settling import Settling
from lowshotgan.systems.walks import slerp, walk
from lowshotgan.types import PathLike, Stage


class KGGAN(Constrained, Settling):
    """A generator of seen and unseen categories, with the network that reads embeddings and the table of vectors.

    Constraints of the user (``add_constraint``) are told ``vectors (B, d)`` as the networks see them and ``categories
    (B,)``, rows of the table; they judge seen and unseen images alike.

    Attributes:
        generator: the averaged generating network, E and the table.
        discriminator: its discriminator of seen categories, or ``None`` if the weights came without one.
    """

    system = "kggan"
    Config = KGGANConfig
    Training = KGGANTraining
    FineTuning = KGGANFineTuning
    generator: KnowledgeGenerator

    def __init__(self, config: KGGANConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = KnowledgeGenerator(config)
        self.discriminator = make_discriminator(config)

    @classmethod
    def build(cls, arguments: Mapping[str, Any], *, arch: str) -> Self:
        """An untrained system from ``knowledge`` (a ``Knowledge``, a mapping of attributes or a file), ``seen``,
        ``unseen`` and the arguments of the configuration, of which ``nuisance`` may be a mapping as in ``Knowledge``.

        Without ``unseen``, every category of the knowledge that is not seen is; without ``seen``, every other one.
        """
        rest = dict(arguments)
        if rest.get("knowledge") is None:
            return super().build({key: value for key, value in rest.items() if key != "knowledge"}, arch=arch)
        knowledge = as_knowledge(rest.pop("knowledge"))
        if isinstance(rest.get("nuisance"), Mapping):
            knowledge = replace(knowledge, nuisance=rest.pop("nuisance"))
        unseen = rest.pop("unseen", None)
        hidden = set(unseen or ())
        seen = list(rest.pop("seen", None) or [name for name in knowledge.names if name not in hidden])
        unseen = list(unseen if unseen is not None else [name for name in knowledge.names if name not in seen])
        if set(seen) & set(unseen):
            raise ConfigError(f"{sorted(set(seen) & set(unseen))[0]!r} is both seen and unseen; name it once.")
        knowledge = knowledge.select([*seen, *unseen])
        about = about_knowledge(knowledge, seen, mixed=bool(rest.get("components")))
        system = cls(make_config(cls, {**about, **rest}), arch=arch)
        system.generator.table.fit(knowledge)
        for sentence in knowledge_report(knowledge, seen, unseen).warnings:
            warn(sentence)
        return system

    @property
    def categories(self) -> tuple[str, ...]:
        """Names that ``generate(category=...)`` takes."""
        names: tuple[str, ...] = self.config.categories
        return names

    @property
    def knowledge(self) -> Knowledge:
        """The table, as the user gave it."""
        vectors = self.generator.table.decode(self.generator.table.vectors).cpu()
        return Knowledge(self.categories, vectors, self.config.dimensions, source=self.config.knowledge_source)

    def report(self) -> KnowledgeReport:
        """How the unseen categories relate to the seen ones; see ``knowledge_report``."""
        return knowledge_report(self.knowledge, self.config.seen, self.config.unseen)

    @torch.no_grad()
    def generate(
        self,
        n: int | None = None,
        *,
        category: Category | None = None,
        seeds: int | str | Sequence[int] | None = None,
        latents: Tensor | None = None,
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **unknown: Any,
    ) -> Generation:
        """Make images of one category or of several.

        Args:
            n: number of images, seeds 0 to n - 1.
            category: a name, attributes such as ``{"colour": "red", "shape": "ring"}``, a vector of d numbers in the
                units of the knowledge (tensor, array or list), or one of these for each image: names, attributes, or
                vectors ``(N, d)``. Left out, each seed draws one of all.
            seeds: a seed, several, or text such as ``"0,5,10-19"``.
            latents: ``(N, z_dim)`` instead of seeds.
            batch_size: images per forward pass; 16 by default.
            output_type: "pil", "pt" or "np"; see ``Generation.images``.

        Raises:
            ConfigError: for an unknown category, a vector of another length, or unusable options.
        """
        if unknown:
            raise ConfigError(
                f"{self.arch} generates from seeds and a category; it takes no {', '.join(sorted(unknown))}."
            )
        size = check_drawing(batch_size, output_type)
        chosen = read_category(category, self.config.dimensions)
        several = isinstance(chosen, list) or (isinstance(chosen, Tensor) and chosen.ndim == 2)
        if several and n is None and seeds is None and latents is None:
            n = len(chosen)  # type: ignore[arg-type]
        used, codes = requested_latents(self.config.z_dim, n, seeds=seeds, latents=latents)
        told = indication(self.generator, self.config, chosen, used, len(codes))
        return Generation(self._draw(codes, told, size), used, codes.cpu(), output_type)

    def interpolate(
        self,
        seeds: int | str | Sequence[int],
        *,
        categories: Sequence[Category] | None = None,
        frames: int = 60,
        loop: bool = True,
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **unknown: Any,
    ) -> Generation:
        """Walk between seeds, between categories, or both at once.

        Args:
            seeds: one or more; with fewer seeds than categories (or the reverse) the shorter list is repeated.
            categories: names, attributes or vectors; left out, the first category throughout.
            frames: images in all.
            loop: return to the start at the end.
            batch_size: images per forward pass.
            output_type: as in ``generate``.

        Raises:
            ConfigError: for fewer than two stops, or unusable options.
        """
        self.refuse("interpolate", unknown)
        size = check_drawing(batch_size, output_type)
        numbers = parse_seeds(seeds)
        chosen = list(categories) if categories is not None and len(categories) else [self.categories[0]]
        stops = max(len(numbers), len(chosen))
        if stops < 2:
            raise ConfigError("interpolate needs two stops: two seeds, or one seed and categories=[...] with two.")
        codes = latents_from_seeds([numbers[i % len(numbers)] for i in range(stops)], self.config.z_dim)
        given = [read_category(chosen[i % len(chosen)], self.config.dimensions) for i in range(stops)]
        told = torch.cat([indication(self.generator, self.config, one, None, 1) for one in given])
        codes = walk(codes, frames=frames, loop=loop, blend=slerp)
        told = walk(told.cpu(), frames=frames, loop=loop)
        with torch.no_grad():
            return Generation(self._draw(codes, told.to(self.device), size), None, codes, output_type)

    def add_categories(self, knowledge: Knowledge | Mapping[str, Any] | PathLike) -> None:
        """Make new unseen categories known to a trained model, which then draws them at once.

        Args:
            knowledge: a ``Knowledge`` or the path of its table, whose dimensions are put in the order of the model's by
                their names; or name -> vector or attributes.

        Raises:
            ConfigError: if a name exists already or has several vectors, dimensions are not those of the model, or unseen
                categories are told one-hot.
        """
        if self.config.unseen_indication == "one_hot":
            raise ConfigError(
                "this model tells unseen categories one-hot, so their number is fixed; train with "
                "unseen_indication='embedding' to add some later."
            )
        table: Mapping[str, Any]
        if isinstance(knowledge, Mapping):
            table = {str(name): entry for name, entry in knowledge.items()}
        else:
            given = as_knowledge(knowledge)
            table = dict(zip(given.names, given.along(self.config.dimensions), strict=True))
        known = [name for name in table if name in self.categories]
        if known:
            raise ConfigError(f"the category {known[0]!r} exists already; give the new one another name.")
        found = {name: encoded(self.generator, self.config, entry, name) for name, entry in table.items()}
        for name, vector in found.items():
            if len(vector) != 1:
                raise ConfigError(f"{name} has {len(vector)} vectors; give each category one, such as their mean.")
        if not found:
            raise ConfigError("there are no categories to add; give at least one name with its vector or attributes.")
        vectors, rows = torch.cat(list(found.values())), self.generator.table
        rows.vectors = torch.cat([rows.vectors, vectors])
        rows.is_seen = torch.cat([rows.is_seen, rows.is_seen.new_zeros(len(vectors))])
        self.config = replace(self.config, categories=(*self.categories, *table))

    @torch.no_grad()
    def embed(self, images: Any) -> Tensor:
        """What E reads in K images: ``(K, d)`` vectors in the units of the knowledge.

        A new category can be added from a few images: ``Knowledge.from_exemplars(model.embed, {"name": images})``.

        Args:
            images: anything ``load_images`` takes; a float tensor ``(K, 3, H, W)`` is in [-1, 1]. Other sizes than the
                model's are brought to it.
        """
        pixels = ready_images(images, self.config.resolution)
        self.generator.embedding.eval()
        found = torch.cat([self.generator.embedding(part.to(self.device)) for part in pixels.split(64)])
        return self.generator.table.decode(found).cpu()

    def read_data(self, data: Any, **options: Any) -> CategorySet:
        """Images of the seen categories; see ``load_categories``. Images of others are not opened."""
        return load_categories(data, self.config.seen, resolution=self.config.resolution, **options)

    @property
    def data_options(self) -> frozenset[str]:
        return keywords(load_categories, open_source) - {"resolution"}

    def stages(
        self,
        images: CategorySet,
        training: KGGANTraining | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        preview_seeds: Sequence[int] = range(8),
    ) -> Iterator[Stage]:
        """Train E, say how well it reads categories it did not see, then train generator and discriminator.

        Args:
            images: of the seen categories, from ``read_data``.
            training: settings.
            seed: of the order of images.
            rank: of this process.
            world_size: number of processes.
            preview_seeds: drawn in each of up to eight categories for the run folder.

        Raises:
            ConfigError: if the model came without its discriminator.
        """
        training = (training or KGGANTraining()).for_source(self.config.knowledge_source)
        if self.discriminator is None:
            raise ConfigError(f"{self.arch} was loaded without its discriminator; training needs one.")
        options: dict[str, Any] = {
            "flip": training.flip,
            "seed": seed,
            "rank": rank,
            "world_size": world_size,
            "device": self.device,
        }
        generator, seen = self.generator, rows_of(self.config.seen, self.categories)
        embedding = EmbeddingStages(generator, self.config, images, training, options)
        yield from embedding.stages()
        self.details["embedding"] = embedding.details
        live = copy.deepcopy(generator.network).requires_grad_(True).train()
        generator.network.eval().requires_grad_(False)
        redrawing = Redrawing(generator, images, seen, seed=seed) if training.warm_up_steps else None
        if redrawing is not None:
            batches = CategoryBatches(images, training.batch_size, **options)
            yield warm_up_stage(live, redrawing, batches, training)
        losses = KGGANLosses(
            generator,
            live,
            self.discriminator.train(),
            seen,
            rows_of(self.config.unseen, self.categories),
            training,
            View.of(training),
            redrawing=redrawing if training.anchor_weight else None,
            constraints=self.constraints,
        )
        batches = CategoryBatches(images, training.batch_size, **options)
        self._stale = True
        yield adversarial_stage(
            losses,
            batches,
            self.moved,
            lambda: self._preview(preview_seeds),
            head_start=min(HEAD_START, training.warm_up_steps),
        )

    def read_shots(self, shots: Any, **options: Any) -> CategorySet:
        """K images of each of some categories, as ``finetune_stages`` takes them: a folder or zip with a sub-folder for
        each, or a mapping from name to images. Names may be new, unseen or seen."""
        names = category_names(shots)
        return load_categories(shots, names, resolution=self.config.resolution, **options)

    def finetune_stages(
        self,
        shots: CategorySet,
        training: KGGANFineTuning | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Stage]:
        """Learn categories from K images each: see ``KGGANFineTuning``. Afterwards they count as seen.

        Raises:
            ConfigError: if the model came without its discriminator, or its categories cannot be added to.
        """
        yield from finetune_stages(
            self, shots, training or KGGANFineTuning(), seed=seed, rank=rank, world_size=world_size
        )

    def drawing(self) -> AnyCategory:
        """The generating network, with categories of its own choice."""
        return AnyCategory(self.generator)

    def _draw(self, latents: Tensor, told: Tensor, size: int) -> Tensor:
        if latents.ndim != 2 or latents.shape[1] != self.config.z_dim:
            raise ConfigError(f"latents must be (N, {self.config.z_dim}), got {tuple(latents.shape)}.")
        self.settle()
        network = self.generator.network.eval()
        parts = zip(latents.float().split(size), told.split(size), strict=True)
        return torch.cat([network(z.to(self.device), y).float().cpu() for z, y in parts])

    def _preview(self, seeds: Sequence[int], first: Sequence[str] = ()) -> Tensor:
        names = list(dict.fromkeys([*first, *self.config.unseen[:4], *self.config.seen]))
        with self.unsettled():
            return torch.cat([self.generate(category=name, seeds=list(seeds)).tensor for name in names[:8]])
