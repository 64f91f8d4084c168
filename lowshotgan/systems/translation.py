"""What systems that translate by exemplars share: reading inputs, class codes, and the call ``generate`` answers.

content (N images) x exemplars (classes of K images, or codes) -> N images per class
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lowshotgan.checks import within
from lowshotgan.data.classes import load_one_class
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8, image_grid, to_pil, to_uint8
from lowshotgan.errors import ConfigError, ImageInputError
from lowshotgan.hub.tensors import state_digest
from lowshotgan.metrics.extractors import load_extractor
from lowshotgan.metrics.scores import MetricReport
from lowshotgan.metrics.translation import RealImages
from lowshotgan.systems.base import System
from lowshotgan.systems.class_code import ClassCode
from lowshotgan.systems.exemplars import classes_of, read_code
from lowshotgan.systems.generation import Generation, OutputType, check_drawing
from lowshotgan.systems.translation_evaluation import Target, evaluate_translator

BATCH_SIZE = 16


@dataclass(frozen=True)
class Translation(Generation):
    """Translated images: all contents in the first class, then all in the second, and so on.

    Attributes:
        classes: names of the classes.
        content: ``(N, 3, H, W)`` in [-1, 1], what was translated.
    """

    classes: Sequence[str] = ()
    content: Tensor | None = None

    def grid(self, columns: int | None = None) -> Image.Image:
        """The contents in the first row and a row for each class; only the translations if ``columns`` is given."""
        if columns is not None or self.content is None:
            return image_grid(self.tensor, columns)
        return image_grid(torch.cat([self.content, self.tensor]), len(self.content))

    def save(self, folder: str | Path, *, prefix: str = "") -> list[Path]:
        """Write one PNG per image, named by class and number of its content, and return the paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        per_class = len(self) // max(len(self.classes), 1)
        names, paths = _file_names(self.classes), []
        for index, image in enumerate(to_pil(self.tensor)):
            paths.append(folder / f"{prefix}{names[index // per_class]}-{index % per_class:06d}.png")
            image.save(paths[-1])
        return paths


class Translator(System):
    """Base of the systems that redraw content images in the manner of exemplars.

    A subclass says how exemplars become codes (``_encode``), how content becomes images of a code (``_redraw``), of what
    number height and width must be multiples (``size_multiple``), and how small they may be (``config.least_side``).
    """

    own_evaluation = True
    size_multiple: int

    @abstractmethod
    def _encode(self, exemplars: Tensor, **options: Any) -> Tensor:
        """``(K, ...)`` codes of single exemplars ``(K, 3, H, W)``; their mean is the class's."""

    @abstractmethod
    def _redraw(self, content: Tensor, codes: Tensor, **options: Any) -> Tensor:
        """``(B, 3, H, W)`` translations of content by codes ``(B, ...)`` or one code ``(1, ...)``."""

    def _read_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Check the options a system takes beyond those of ``generate``; none by default."""
        if options:
            raise ConfigError(
                f"{self.arch} translates content by exemplars; it takes no {', '.join(sorted(options))}."
            )
        return {}

    @torch.no_grad()
    def generate(
        self,
        content: Any = None,
        exemplars: Any = None,
        *,
        strength: float = 1.0,
        fit: str = "crop",
        batch_size: int | None = None,
        output_type: OutputType = "pil",
        **options: Any,
    ) -> Translation:
        """Redraw ``content`` in the manner of ``exemplars``; the same inputs always give the same images.

        Args:
            content: folder, zip, list, PIL image, or a tensor ``(N, 3, H, W)`` in [-1, 1].
            exemplars: K images of one class, given like content; a ``ClassCode`` or its file; a list of codes, folders or
                zips, or a mapping from class name to any of these, which gives every content in every class; or a
                tensor ``(N, K, 3, H, W)`` with exemplars for each content of its own. May be left out if the model was
                fine-tuned to a class.
            strength: from the code of the content itself (0) to that of the exemplars (1).
            fit: "crop" or "pad" images that are not square.
            batch_size: contents per forward pass; 16 by default.
            output_type: as in ``Generation.images``.
            options: what the system takes besides.

        Raises:
            ConfigError: for missing or unusable arguments, or a code of another model.
            ImageInputError: for unreadable images, or exemplars of several classes that are given as one (see
                ``load_one_class``).
        """
        settings = self._read_options(options)
        if content is None or isinstance(content, int):
            told = "" if content is None else f" (images, not {content})"
            raise ConfigError(f"{self.arch} needs content to translate{told}: generate(content=..., exemplars=...).")
        count = check_drawing(batch_size, output_type, usual=BATCH_SIZE)
        within("strength", strength, 0, 2)
        images = self._read(content, fit)
        targets = self._targets(exemplars, len(images), fit, settings)
        self.generator.eval()
        drawn = [
            self._in_parts(images, codes.to(self.device), float(strength), count, settings)
            for codes in targets.values()
        ]
        used = torch.cat([codes.expand(len(images), *codes.shape[1:]).cpu() for codes in targets.values()])
        return Translation(torch.cat(drawn), None, used, output_type, tuple(targets), images)

    def translate(self, content: Any, exemplars: Any = None, **options: Any) -> Translation:
        """The same as ``generate(content=content, exemplars=exemplars, ...)``."""
        return self.generate(content, exemplars, **options)

    @torch.no_grad()
    def encode_each(self, exemplars: Tensor, **options: Any) -> Tensor:
        """Codes ``(N, ...)`` on the CPU, one for each of the exemplars ``(N, 3, H, W)`` in [-1, 1]."""
        settings = self._read_options(options)
        self.generator.eval()
        parts = [self._encode(part.to(self.device), **settings) for part in exemplars.split(64)]
        return torch.cat(parts).float().cpu()

    @torch.no_grad()
    def redraw(self, content: Tensor, codes: Tensor, **options: Any) -> Tensor:
        """Content ``(N, 3, H, W)`` in [-1, 1] by codes of its own ``(N, ...)``, on the CPU."""
        settings = self._read_options(options)
        self.generator.eval()
        return self._in_parts(content, codes.to(self.device), 1.0, BATCH_SIZE, settings)

    def evaluate(
        self,
        reference: Any,
        *,
        content: Any = None,
        shots: int = 5,
        n: int = 1000,
        seed: int = 0,
        extractor: str = "auto",
        **data: Any,
    ) -> MetricReport:
        """Score translations into the classes of ``reference``; see ``evaluate_translator``.

        Args:
            reference: real images in class folders (or domain folders), as for training. Classes the model was not
                trained on are the targets; if there are none, all are.
            content: images to translate; those of the other classes unless given.
            shots: exemplars of one translation.
            n: translations over all targets.
            seed: of subsets and resamples.
            extractor: network behind the scores.
            data: further options of ``load_classes`` or ``load_domains``.
        """
        pool = None if content is None else to_uint8(self._read(content, "crop"))
        targets, classes = self.evaluation_data(reference, pool, **data)
        real = RealImages(load_extractor(extractor), classes)
        return evaluate_translator(self, targets, real, shots=shots, n=n, seed=seed)

    @abstractmethod
    def evaluation_data(
        self, reference: Any, content: Tensor | None = None, **data: Any
    ) -> tuple[list[Target], dict[str, Tensor]]:
        """What ``evaluate`` translates into, and the real images ``(N, 3, H, W)`` uint8 of every class."""

    @torch.no_grad()
    def encode_exemplars(self, exemplars: Any, *, name: str = "class", fit: str = "crop", **options: Any) -> ClassCode:
        """The code of a class from K images of it: encode once, translate as often as you like.

        Args:
            exemplars: folder, zip, list, PIL image, or a tensor ``(K, 3, H, W)`` in [-1, 1].
            name: of the class.
            fit: "crop" or "pad" images that are not square.
            options: what the system takes besides.

        Raises:
            ImageInputError: as ``generate``.
        """
        settings = self._read_options(options)
        images = self._read(exemplars, fit, one_class=True)
        codes = self.encode_each(images, **settings)
        return ClassCode(codes.mean(dim=0), len(codes), self._pin(settings), name)

    @property
    def fingerprint(self) -> str:
        """Short digest of a sample of the generator's values, which any training changes; codes are pinned to it."""
        sample = {name: value.flatten()[:64] for name, value in self.generator.state_dict().items()}
        return state_digest(sample)[:16]

    @property
    def class_code(self) -> ClassCode | None:
        """The code of the class the model was fine-tuned to, if it was."""
        about = self.details.get("class_code")
        return None if about is None else ClassCode.from_dict(about)

    def _targets(self, exemplars: Any, count: int, fit: str, settings: Mapping[str, Any]) -> dict[str, Tensor]:
        """Class name -> codes ``(1, ...)``, or ``(count, ...)`` for exemplars of each content's own."""
        if exemplars is None and (own := self.class_code) is not None:
            return {own.name: own.values[None]}  # its weights may be of another type since, and so its fingerprint
        if exemplars is None:
            raise ConfigError(f"{self.arch} needs exemplars of a class: generate(content=..., exemplars=...).")
        if isinstance(exemplars, Tensor) and exemplars.ndim == 5:
            return {"own": self._own_codes(exemplars, count, settings)}
        classes = classes_of(exemplars)
        return {name: self._code(given, name, fit, settings)[None] for name, given in classes.items()}

    def _code(self, given: Any, name: str, fit: str, settings: Mapping[str, Any]) -> Tensor:
        code = read_code(given)
        if code is None:
            return self.encode_exemplars(given, name=name, fit=fit, **settings).values
        if code.model != self._pin(settings):
            raise ConfigError(
                f"the class code {code.name!r} was made by another model (or type of its weights), or for another "
                "direction; encode its exemplars again."
            )
        return code.values

    def _own_codes(self, exemplars: Tensor, count: int, settings: Mapping[str, Any]) -> Tensor:
        if len(exemplars) != count:
            raise ConfigError(f"{len(exemplars)} sets of exemplars for {count} contents; give one set for each.")
        flat = self._check_tensor(exemplars.flatten(0, 1))
        codes = self.encode_each(flat, **settings)
        means: Tensor = codes.unflatten(0, exemplars.shape[:2]).mean(dim=1)
        return means

    def _in_parts(
        self, images: Tensor, codes: Tensor, strength: float, size: int, settings: Mapping[str, Any]
    ) -> Tensor:
        drawn = []
        for start in range(0, len(images), size):
            content = images[start : start + size].to(self.device)
            mine = codes if len(codes) == 1 else codes[start : start + size]
            if strength != 1.0:
                mine = self._encode(content, **self._own_side(settings)).lerp(mine, strength)
            drawn.append(self._redraw(content, mine, **settings).float().cpu())
        return torch.cat(drawn)

    def _pin(self, settings: Mapping[str, Any]) -> str:
        """What a code made with these settings is pinned to."""
        return self.fingerprint

    def _own_side(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The settings by which content images are encoded as their own exemplars."""
        return settings

    def _read(self, images: Any, fit: str, *, one_class: bool = False) -> Tensor:
        """``(N, 3, H, W)`` float32 on the CPU in [-1, 1]."""
        if isinstance(images, Tensor) and images.is_floating_point():
            return self._check_tensor(images)
        width = getattr(self.config, "image_width", None)
        read = load_one_class if one_class else load_images
        return from_uint8(read(images, resolution=self.config.resolution, width=width, fit=fit).uint8())

    def _check_tensor(self, images: Tensor) -> Tensor:
        batch = (images[None] if images.ndim == 3 else images).detach().float().cpu()
        multiple, least = self.size_multiple, self.config.least_side
        if batch.ndim != 4 or batch.shape[1] != 3 or not len(batch):
            raise ImageInputError(f"tensors must be (N, 3, H, W) in [-1, 1], got {tuple(images.shape)}.")
        if batch.shape[2] % multiple or batch.shape[3] % multiple or min(batch.shape[2:]) < least:
            raise ImageInputError(
                f"{self.arch} takes heights and widths that are multiples of {multiple} and at least {least}, got "
                f"{tuple(batch.shape[2:])}; resize to {self.config.resolution} or pass PIL images, which are resized."
            )
        if not bool(torch.isfinite(batch).all()) or float(batch.abs().max()) > 1.001:
            raise ImageInputError("tensors must hold finite values in [-1, 1]; convert with image / 127.5 - 1.")
        return batch


def _file_names(classes: Sequence[str]) -> list[str]:
    """Names of classes as parts of file names; those that would be one get their number."""
    found: list[str] = []
    for number, name in enumerate(classes):
        plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
        taken = {other.casefold() for other in found}
        found.append(f"{plain}-class-{number}" if plain.casefold() in taken else plain)
    return found
