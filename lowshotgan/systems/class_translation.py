"""What FUNIT and COCO-FUNIT share as systems: class folders, one discriminator output per class, previews, codes."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor

from lowshotgan.checks import keywords, positive
from lowshotgan.data.classes import ClassSet, load_classes, load_one_class
from lowshotgan.data.dataset import ImageSet
from lowshotgan.data.episodes import Episodes
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError
from lowshotgan.messages import tell
from lowshotgan.nets.translation import ClassDiscriminator
from lowshotgan.systems.class_delta import apply_class_delta, save_class_delta
from lowshotgan.systems.class_finetuning import ClassFineTuning, finetune_stages, forget_class
from lowshotgan.systems.class_training import ClassNets, head_start_stage
from lowshotgan.systems.translation import Translator
from lowshotgan.systems.translation_evaluation import Target
from lowshotgan.types import Batches, PathLike, Stage

PREVIEWED = 6


class ClassTranslator(Translator):
    """A translator between classes, trained on class folders.

    A subclass builds its discriminator (``make_discriminator``), says which of its tensors belong to classes
    (``per_class``, the beginning of their names) and describes its stage (``source_stage``); its generator answers
    ``encode(exemplars)`` and ``(content, codes)``.
    """

    FineTuning = ClassFineTuning
    per_class: ClassVar[str]
    margin: ClassVar[float] = 140 / 128
    discriminator: ClassDiscriminator | None

    @abstractmethod
    def make_discriminator(self) -> ClassDiscriminator:
        """An untrained discriminator for ``config.num_classes``."""

    @abstractmethod
    def source_stage(self, nets: ClassNets, batches: Batches, training: Any, preview: Callable[[], Tensor]) -> Stage:
        """The stage that trains generator and discriminator (see ``class_training.source_stage``)."""

    @property
    def size_multiple(self) -> int:  # type: ignore[override]
        """Heights and widths must be multiples of it."""
        return int(2**self.config.content_downs)

    @property
    def classes(self) -> list[str] | None:
        """The training classes in the order of the discriminator's outputs, if known."""
        return self.details.get("classes")

    def read_data(self, data: Any, *, crop_from: int | None = None, **options: Any) -> ClassSet:
        """Class folders as ``stages`` takes them; the discriminator gets an output for each class.

        Weights without a discriminator, such as FUNIT's released file, get a new one, which is told.

        Args:
            data: as for ``load_classes``; so are ``classes``, ``without``, ``fit``, ``background`` and ``enlarge``.
            crop_from: side the images are prepared at, of which the training cuts random parts; by default ``margin``
                times the resolution, as in the release.
        """
        side = int(positive("crop_from", crop_from or round(self.config.resolution * self.margin)))
        if side < self.config.resolution:
            raise ConfigError(f"crop_from={side} is less than the resolution {self.config.resolution}.")
        found = load_classes(data, resolution=side, **options)
        self._match_classes(list(found.classes))
        return found

    @property
    def data_options(self) -> frozenset[str]:
        return keywords(self.read_data, load_classes) - {"resolution", "memory_limit"}

    def stages(
        self, data: ClassSet, training: Any = None, *, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> Iterator[Stage]:
        """Training on many classes: a head start if wanted, then one stage; afterwards ``generator`` holds the average.

        Args:
            data: what ``read_data`` returned.
            training: settings; the paper's by default.
            seed: of the order of images.
            rank: of this process.
            world_size: number of processes.
        """
        assert self.Training is not None
        training = training or self.Training()
        if self.discriminator is None:
            self._match_classes(list(data.classes))
        assert self.discriminator is not None
        drawing = {"resolution": self.config.resolution, "sampling": training.sampling, "flip": training.flip}
        drawing |= {"seed": seed, "rank": rank, "world_size": world_size, "device": self.device}
        averaged, live = self.generator, copy.deepcopy(self.generator).train().requires_grad_(True)
        averaged.eval().requires_grad_(False)
        self.discriminator.train().requires_grad_(True)
        forget_class(self)
        nets, preview = ClassNets(live, averaged, self.discriminator), self._preview(data)
        if training.head_start:
            siblings = Episodes(data, training.batch_size, siblings=True, **drawing)
            yield head_start_stage(nets, siblings, training, preview=preview)
        yield self.source_stage(nets, Episodes(data, training.batch_size, **drawing), training, preview)

    def evaluation_data(
        self, reference: Any, content: Tensor | None = None, **data: Any
    ) -> tuple[list[Target], dict[str, Tensor]]:
        """See ``Translator.evaluation_data``."""
        found = load_classes(reference, resolution=self.config.resolution, **data).at(self.config.resolution)
        classes = {name: found.of_class(name) for name in found.classes}
        known = set(self.classes or ())
        unseen = [name for name in classes if name not in known] or list(classes)
        if content is not None:
            return [Target(name, content) for name in unseen], classes
        others = set(classes) - set(unseen)
        owners = [name for name, images in classes.items() for _ in range(len(images))]

        def rows(target: str) -> list[int]:
            """The images of seen classes, and without any of all but the target's."""
            return [row for row, owner in enumerate(owners) if (owner in others if others else owner != target)]

        pool = torch.cat(list(classes.values()))
        return [Target(name, pool, rows=rows(name)) for name in unseen], classes

    def read_shots(self, shots: Any, **options: Any) -> ImageSet:
        """K images of one class; see ``load_one_class``."""
        return load_one_class(shots, resolution=self.config.resolution, **options)

    def finetune_stages(
        self, shots: ImageSet, finetuning: Any = None, *, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> Iterator[Stage]:
        """Encode a class, or fit the model to it: see ``ClassFineTuning``. Afterwards ``exemplars`` may be left out."""
        finetuning = finetuning or ClassFineTuning()
        yield from finetune_stages(self, shots, finetuning, seed=seed, rank=rank, world_size=world_size)

    def save_delta(self, path: PathLike) -> PathLike:
        """Save only what fine-tuning to a class moved, with the class's code, pinned to the hash of the base.

        Args:
            path: a folder, or a file ending in ``.safetensors``; ``load()`` reads both.

        Raises:
            DeltaError: if fine-tuning moved no tensor of the generator.
        """
        return save_class_delta(self, path)

    def apply_delta(self, path: PathLike) -> Self:
        """This base model with a delta applied; the model itself stays as it is.

        Raises:
            DeltaError: if the delta was trained on other weights than these.
        """
        return apply_class_delta(self, path)

    def _encode(self, exemplars: Tensor, **options: Any) -> Tensor:
        return cast(Any, self.generator).encode(exemplars)  # type: ignore[no-any-return]

    def _redraw(self, content: Tensor, codes: Tensor, **options: Any) -> Tensor:
        return cast(Tensor, self.generator(content, codes))

    def _match_classes(self, classes: list[str]) -> None:
        """A discriminator for these classes: one for others keeps its trunk and gets new outputs, a missing one is made."""
        known = self.discriminator
        if known is None:
            tell(
                f"{self.source_name or self.arch} has no discriminator: a new one for {len(classes)} classes learns from "
                "the start, the generator goes on from its weights."
            )
        elif self.classes == classes:
            return
        if known is None or self.config.num_classes != len(classes) or self.classes is not None:
            self.config = replace(self.config, num_classes=len(classes))
            self.discriminator = self.make_discriminator().to(self.device)
            if known is not None:
                kept = {name: t for name, t in known.state_dict().items() if not name.startswith(self.per_class)}
                self.discriminator.load_state_dict(self.discriminator.state_dict() | kept)
        self.details["classes"] = classes

    def _preview(self, data: ClassSet) -> Callable[[], Tensor]:
        """Six images of the first classes in the top row; below, each of them in the class of each but the last."""
        rows = [data.rows[label][0] for label in range(len(data.classes))][:PREVIEWED]
        images = from_uint8(data.images.uint8(rows))
        room = images.shape[-1] - self.config.resolution
        images = images[..., room // 2 :, room // 2 :][..., : self.config.resolution, : self.config.resolution]

        @torch.no_grad()
        def draw() -> Tensor:
            translated = self.generate(images, {str(i): image[None] for i, image in enumerate(images[:-1])})
            return torch.cat([images, translated.tensor])

        return draw
