"""KG-GAN for recolouring as a system: a region of an image in any colour, learnt from categories without masks.

Chang, Yu, Chen and Chang, "KG-GAN: Knowledge-Guided Generative Adversarial Networks", arXiv 1905.12261 (version 1). The
method is described in the published patent US 11379722; see the documentation of this system.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lowshotgan.checks import keywords, one_of
from lowshotgan.data.categories import CategoryBatches, CategorySet, category_names, load_categories
from lowshotgan.data.colours import parse_colour
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8, image_grid
from lowshotgan.data.sources import open_source
from lowshotgan.errors import ConfigError
from lowshotgan.messages import warn
from lowshotgan.systems.constrained import Constrained
from lowshotgan.systems.generation import Generation, OutputType, check_drawing
from lowshotgan.systems.kggan_recolour.config import RecolourConfig, RecolourFineTuning, RecolourTraining
from lowshotgan.systems.kggan_recolour.networks import RecolourDiscriminator, Recoloured, RecolourGenerator, combine
from lowshotgan.systems.kggan_recolour.stages import RecolourLosses, recolour_stage
from lowshotgan.types import Stage

SENSIBLE_AREA = (0.02, 0.6)
"""Shares of an image a region usually covers; outside of them the user is told."""
RAINBOW = ("#c62828", "#ef8a17", "#e8d03a", "#3c9d4a", "#2bb5c0", "#2f5bd7", "#7b3fb5", "#e678b0")
"""Colours of previews and of a contact sheet whose colours are left out."""


@dataclass(frozen=True)
class Recolouring(Generation):
    """Recoloured images.

    Attributes:
        masks: ``(N, 1, H, W)`` in [0, 1], where the colour was changed; ``None`` unless asked for.
    """

    masks: Tensor | None = None


class KGGANRecolour(Constrained):
    """Changes the colour of one region and nothing else.

    Constraints of the user (``add_constraint``) judge images in unseen colours, and are told ``region (B, 1, H, W)``,
    ``color (B, 3)`` in [-1, 1] and ``content (B, 3, H, W)``, the image that was recoloured.

    Attributes:
        generator: averaged T1, T2 and M.
        discriminator: its discriminator, or ``None`` if the weights came without one.
    """

    system = "kggan_recolour"
    Config = RecolourConfig
    Training = RecolourTraining
    FineTuning = RecolourFineTuning
    generator: RecolourGenerator
    discriminator: RecolourDiscriminator | None

    def __init__(self, config: RecolourConfig, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.generator = RecolourGenerator(
            config.resolution,
            len(config.categories),
            transform_width=config.transform_width,
            hidden=config.hidden,
            mask_width=config.mask_width,
            cell=config.cell,
        )
        self.discriminator = RecolourDiscriminator(
            len(config.categories), width=config.discriminator_width, cell=config.discriminator_cell
        )

    def generate(
        self,
        n: int | None = None,
        *,
        content: Any = None,
        color: Any = None,
        category: str | Sequence[str] | None = None,
        mask: bool = False,
        hard: bool | None = None,
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **unknown: Any,
    ) -> Recolouring:
        """Recolour ``content``; the same as ``recolor(content, ...)``.

        Raises:
            ConfigError: without content, with both or none of ``color`` and ``category``, or for unusable options.
        """
        if unknown:
            raise ConfigError(f"{self.arch} recolours images; it takes no {', '.join(sorted(unknown))}.")
        if content is None:
            raise ConfigError(
                f"{self.arch} needs images to recolour: pass content=, or call recolor(images, color=...)."
            )
        made = self.recolor(
            content,
            color=color,
            category=category,
            mask=mask,
            hard=hard,
            batch_size=batch_size,
            output_type=output_type,
        )
        if n is not None and n != len(made):
            raise ConfigError(f"n={n} but content holds {len(made)} images; leave n out.")
        return made

    @torch.no_grad()
    def recolor(
        self,
        images: Any,
        *,
        color: Any = None,
        category: str | Sequence[str] | None = None,
        mask: bool = False,
        hard: bool | None = None,
        batch_size: int | None = None,
        output_type: OutputType = "pil",
    ) -> Recolouring:
        """The same images with the region in another colour; everything outside it stays.

        Args:
            images: anything ``load_images`` takes.
            color: ``"#3b7dd8"``, three floats in [0, 1] or three whole numbers from 0 to 255; a list gives each image
                its own.
            category: instead of a colour, the name of a seen category, or one for each image.
            mask: also return where the colour was changed.
            hard: cut the mask at one half; by default as the model was configured.
            batch_size: images per forward pass; 16 by default.
            output_type: "pil", "pt" or "np"; see ``Generation.images``.

        Raises:
            ConfigError: for both or none of ``color`` and ``category``, or an unusable one.
            ImageInputError: for unreadable images.
        """
        size = check_drawing(batch_size, output_type)
        if (color is None) == (category is None):
            raise ConfigError("recolor needs a colour or a category: pass color='#3b7dd8' or category='blond'.")
        targets = self._labels(category) if category is not None else self._colours(color)
        found = self._read(images)
        if len(targets) not in (1, len(found)):
            raise ConfigError(f"{len(targets)} targets for {len(found)} images; pass one, or one for each image.")
        targets = targets.expand(len(found), *targets.shape[1:])
        cut = self.config.hard if hard is None else hard
        parts = zip(found.split(size), targets.split(size), strict=True)
        made = [self._draw(x.to(self.device), t.to(self.device), hard=cut) for x, t in parts]
        drawn = torch.cat([part.images.float().clamp(-1, 1).cpu() for part in made])
        masks = torch.cat([part.mask.float().cpu() for part in made])
        self._check_area(masks)
        return Recolouring(drawn, None, targets.float().cpu(), output_type, masks if mask else None)

    @torch.no_grad()
    def region(self, images: Any) -> Tensor:
        """``(N, 1, R, R)`` in [0, 1]: how surely each pixel belongs to the region."""
        parts = self._read(images).split(16)
        return torch.cat([self.generator.eval().mask(part.to(self.device)).float().cpu() for part in parts])

    def contact_sheet(self, images: Any, colors: Sequence[Any] = RAINBOW, *, hard: bool | None = None) -> Image.Image:
        """Each image in a row: as it is, then in each colour.

        Args:
            images: anything ``load_images`` takes; usually one.
            colors: as ``recolor`` takes them.
            hard: as in ``recolor``.
        """
        found = load_images(images, resolution=self.config.resolution).uint8()
        columns = [from_uint8(found)] + [self.recolor(found, color=color, hard=hard).tensor for color in colors]
        return image_grid(torch.stack(columns, dim=1).flatten(0, 1), len(columns))

    def read_data(self, data: Any, **options: Any) -> CategorySet:
        """Images of the seen categories; see ``load_categories``."""
        return load_categories(data, self.config.categories, resolution=self.config.resolution, **options)

    @property
    def data_options(self) -> frozenset[str]:
        return keywords(load_categories, open_source) - {"resolution"}

    def stages(
        self,
        images: CategorySet,
        training: RecolourTraining | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        preview_images: int = 7,
    ) -> Iterator[Stage]:
        """Training from scratch: one stage; afterwards ``generator`` holds the average.

        Args:
            images: of the seen categories, from ``read_data``.
            training: settings.
            seed: of the order of images.
            rank: of this process.
            world_size: number of processes.
            preview_images: recoloured after some steps for the run folder.

        Raises:
            ConfigError: if the model came without its discriminator.
        """
        training = training or RecolourTraining()
        yield self._stage(images, training, preview_images, seed=seed, rank=rank, world_size=world_size)

    def read_shots(self, shots: Any, **options: Any) -> CategorySet:
        """K images of a new style: sub-folders (or a mapping) named as seen categories, of which some may be missing, or
        images alone, whose categories the discriminator guesses.

        Raises:
            ConfigError: for images alone, if the model came without its discriminator.
        """
        known = self.config.categories
        if isinstance(shots, CategorySet):
            return shots
        if isinstance(shots, Mapping) or _is_sorted(shots, known):
            names = [one_of("category", name, known) for name in category_names(shots)]
            found = load_categories(shots, names, resolution=self.config.resolution, **options)
            rows = torch.tensor([known.index(name) for name in names])
            return CategorySet(found.images, rows[found.labels], known)
        images = load_images(shots, resolution=self.config.resolution, **options)
        return CategorySet(images, self._guessed(from_uint8(images.uint8())), known)

    def finetune_stages(
        self,
        shots: CategorySet,
        training: RecolourFineTuning | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Stage]:
        """Teach the mask network a new style: see ``RecolourFineTuning``. T1 and T2 do not change.

        Raises:
            ConfigError: if the model came without its discriminator.
        """
        yield self._stage(
            shots, training or RecolourFineTuning(), 7, mask_only=True, seed=seed, rank=rank, world_size=world_size
        )

    def _stage(
        self, images: CategorySet, training: RecolourTraining, shown: int, *, mask_only: bool = False, **process: Any
    ) -> Stage:
        """The one stage of training or fine-tuning, with ``shown`` images in its previews."""
        judge = self._judge()
        batches = CategoryBatches(images, training.batch_size, flip=training.flip, device=self.device, **process)
        averaged, live = self.generator, copy.deepcopy(self.generator).train()
        averaged.eval().requires_grad_(False)
        live.requires_grad_(not mask_only).mask.requires_grad_(True)
        step = max(1, len(images) // shown)
        pictures = images.images.uint8(range(0, len(images), step)[:shown])
        losses = RecolourLosses(live, judge.requires_grad_(True).train(), training, self.constraints)
        return recolour_stage(losses, averaged, batches, lambda: self._preview(pictures), mask_only=mask_only)

    def _judge(self) -> RecolourDiscriminator:
        if self.discriminator is None:
            raise ConfigError(f"{self.arch} was loaded without its discriminator; training and fine-tuning need one.")
        return self.discriminator

    @torch.no_grad()
    def _guessed(self, images: Tensor) -> Tensor:
        """``(N,)`` categories as the discriminator reads them in ``(N, 3, R, R)``."""
        judge = self._judge().eval()
        return torch.cat([judge(part.to(self.device))[1].argmax(dim=1).cpu() for part in images.split(16)])

    def _preview(self, shown: Tensor) -> Tensor:
        """A row for each image: as it is, in seven colours, and its mask."""
        columns = [from_uint8(shown)] + [self.recolor(shown, color=color).tensor for color in RAINBOW[:6]]
        columns.append((self.region(shown) * 2 - 1).expand(shown.shape))
        return torch.stack(columns, dim=1).flatten(0, 1)

    def _draw(self, images: Tensor, targets: Tensor, *, hard: bool) -> Recoloured:
        generator = self.generator.eval()
        by_label = targets.ndim == 1
        made = generator.to_category(images, targets) if by_label else generator.to_colour(images, targets)
        return combine(images, made.foreground, (made.mask > 0.5).to(images.dtype)) if hard else made

    def _read(self, images: Any) -> Tensor:
        """``(N, 3, R, R)`` in [-1, 1]."""
        return from_uint8(load_images(images, resolution=self.config.resolution).uint8())

    def _colours(self, color: Any) -> Tensor:
        """``(1 or N, 3)`` in [-1, 1]."""
        several = isinstance(color, list | tuple) and bool(color) and not isinstance(color[0], Real)
        several = several or (isinstance(color, Tensor | np.ndarray) and color.ndim == 2)
        chosen = list(color) if several else [color]
        return torch.tensor([parse_colour(one) for one in chosen]) * 2 - 1

    def _labels(self, category: str | Sequence[str]) -> Tensor:
        several = isinstance(category, Iterable) and not isinstance(category, str)
        names: list[Any] = list(category) if several else [category]
        return torch.tensor(
            [self.config.categories.index(one_of("category", n, self.config.categories)) for n in names]
        )

    def _check_area(self, masks: Tensor) -> None:
        share, (low, high) = float(masks.mean()), SENSIBLE_AREA
        if self.details.get("training") and not low <= share <= high:
            warn(
                f"the region covers {share:.0%} of these images; check recolor(..., mask=True) before you trust them."
            )


def _is_sorted(shots: Any, categories: Sequence[str]) -> bool:
    """Whether every image lies in a folder named as a category."""
    source = open_source(shots)
    folders = {Path(source.name(index)).parent.name for index in range(len(source))}
    return bool(folders) and folders <= set(categories)
