"""What differs between modalities: how they are read, shown and shaped. Everything else is blind to them.

A modality is one line of text in a saved configuration: ``image:1x32x32``, ``logmel:1x32x32@8000/400/200/512/60-3900/-4..4``
or ``vector:10``; ``specs.py`` reads these lines, and those of modalities of your own.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from lowshotgan.checks import known_options, positive
from lowshotgan.data.audio import LogMel, Sound
from lowshotgan.data.dataset import IMAGE_OPTIONS, load_images
from lowshotgan.data.images import from_uint8, to_pil
from lowshotgan.data.sounds import open_sounds, sounds_of
from lowshotgan.errors import ConfigError, ImageInputError
from lowshotgan.messages import tell


@runtime_checkable
class Modality(Protocol):
    """One way a concept shows.

    A class of your own has these members, and is read from its ``spec`` again once ``register_modality`` knows how. It may
    have two more:

    - ``augment(values, draws)``: what the judges see of items, real and drawn alike, instead of the items themselves:
      ``(B, C, H, W)`` to the same shape, differentiable, every random number from ``draws``.
    - ``build(role, code)``: a network of its own, or ``None`` for the library's, which is for squares of 16, 28, 32 and 64
      and for vectors ``(C, 1, 1)``. By role: "generator", ``(B, code)`` to items in [-1, 1]; "discriminator", items to
      ``(B, 1)``; "branch" of the synchronizer, items to ``(B, 256)``; "encoder", items to ``(B, code)``.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the networks see, in [-1, 1]."""
        ...

    @property
    def spec(self) -> str:
        """The modality as one line of text, ``prefix:anything``."""
        ...

    def read(self, raw: Any, **options: Any) -> Tensor:
        """Files or objects to ``(N, C, H, W)`` float32 in [-1, 1]."""
        ...

    def read_labelled(self, raw: Any, **options: Any) -> tuple[Tensor, list[str | None]]:
        """The same, and the folder or label file's label of each item; ``None`` where there is none."""
        ...

    def decode(self, values: Tensor) -> Any:
        """``(N, C, H, W)`` to what a user looks at or listens to, one entry for each item."""
        ...


@dataclass(frozen=True)
class ImageModality:
    """Square images.

    Attributes:
        size: side in pixels.
        channels: 1 (grey) or 3.
    """

    size: int
    channels: int = 3

    def __post_init__(self) -> None:
        if self.size not in (16, 28, 32, 64) or self.channels not in (1, 3):
            raise ConfigError(
                f"images must be 16, 28, 32 or 64 px with 1 or 3 channels, got {self.size}, {self.channels}."
            )

    @classmethod
    def parse(cls, text: str) -> "ImageModality | None":
        """The modality of ``1x32x32``, or ``None``."""
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
        return cls(int(match[2]), int(match[1])) if match and match[2] == match[3] else None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.size, self.size

    @property
    def spec(self) -> str:
        return f"image:{self.channels}x{self.size}x{self.size}"

    def read(self, raw: Any, **options: Any) -> Tensor:
        """Anything ``load_images`` takes, with its options; for one channel the mean of red, green and blue.

        Raises:
            ImageInputError: for unreadable images.
        """
        return self.read_labelled(raw, **options)[0]

    def read_labelled(self, raw: Any, **options: Any) -> tuple[Tensor, list[str | None]]:
        """The images, and of each the folder it lies in or what an idx label file says."""
        known_options("image modality", options, IMAGE_OPTIONS)
        images = load_images(raw, resolution=self.size, **options)
        parts = [from_uint8(part) for part in images.uint8().split(1000)]
        values = torch.cat(parts if self.channels == 3 else [part.mean(dim=1, keepdim=True) for part in parts])
        return values, [images.source.label(index) for index in range(len(images))]

    def decode(self, values: Tensor) -> list[Any]:
        """PIL images."""
        return to_pil(values.expand(-1, 3, -1, -1))


@dataclass(frozen=True)
class SpectrogramModality:
    """Recordings as log-mel spectrograms.

    Attributes:
        transform: how a recording becomes a picture and back.
    """

    transform: LogMel = field(default_factory=LogMel)

    def __post_init__(self) -> None:
        if self.transform.mels != self.transform.frames or self.transform.mels not in (16, 32, 64):
            raise ConfigError(
                f"spectrograms must have 16, 32 or 64 bands and as many frames, got {self.transform.mels} and "
                f"{self.transform.frames}."
            )

    @classmethod
    def spoken(cls, *, fine: bool = False) -> "SpectrogramModality":
        """Short spoken words at 8 kHz: 0.825 s in 32 bands and frames, or twice as fine in both."""
        return cls(LogMel(mels=64, frames=64, hop=100) if fine else LogMel())

    @classmethod
    def parse(cls, text: str) -> "SpectrogramModality | None":
        """The modality of ``1x32x32@8000/400/200/512/60-3900``, which may end in ``/-4..4``, or ``None``."""
        number = r"(-?[\d.]+?)"
        line = rf"1x(\d+)x(\d+)@(\d+)/(\d+)/(\d+)/(\d+)/{number}-{number}(?:/{number}\.\.{number})?"
        if not (match := re.fullmatch(line, text)):
            return None
        whole = [int(part) for part in match.groups()[:6]]
        try:
            rest = [float(part) for part in match.groups()[6:] if part is not None]
        except ValueError:  # several points
            return None
        return cls(LogMel(*whole, *rest))

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, self.transform.mels, self.transform.frames

    @property
    def spec(self) -> str:
        t = self.transform
        numbers = f"{t.rate}/{t.window}/{t.hop}/{t.size}/{t.low:g}-{t.high:g}/{t.floor:g}..{t.ceiling:g}"
        return f"logmel:1x{t.mels}x{t.frames}@{numbers}"

    def read(self, raw: Any, **options: Any) -> Tensor:
        """Anything ``open_sounds`` takes, with its options: a folder, zip, file, ``Sound``, ``(samples, rate)`` or a list;
        or spectrograms ``(N, 1, mels, frames)`` in [-1, 1] as this modality makes them.

        Other rates are resampled and several channels averaged, which is told once for all.

        Raises:
            ImageInputError: for an unreadable or silent recording; the message names it.
        """
        return self.read_labelled(raw, **options)[0]

    def read_labelled(self, raw: Any, **options: Any) -> tuple[Tensor, list[str | None]]:
        """The recordings, and of each the folder it lies in."""
        known_options("recordings", options, ("include", "exclude"))
        if isinstance(raw, Tensor) and raw.ndim == 4:
            return self._checked(raw), [None] * len(raw)
        recordings = open_sounds(raw, **options)
        found, changed = [], Counter[str]()
        for name, sound in sounds_of(recordings):
            try:
                found.append(self.transform.encode(sound))
            except ImageInputError as error:
                raise ImageInputError(f"{name}: {error}") from error
            if sound.rate != self.transform.rate:
                changed[f"resampled from {sound.rate} to {self.transform.rate} samples per second"] += 1
            if sound.channels > 1:
                changed[f"brought from {sound.channels} channels to their mean"] += 1
        for what, count in changed.items():
            tell(f"{count} of {len(found)} recordings were {what}.")
        return torch.stack(found), [one.label for one in recordings]

    def _checked(self, values: Tensor) -> Tensor:
        if tuple(values.shape[1:]) != self.shape or not len(values) or not (values.abs() <= 1).all():
            raise ImageInputError(
                f"spectrograms must be (N, {', '.join(map(str, self.shape))}) in [-1, 1], got {tuple(values.shape)}."
            )
        return values.float()

    def decode(self, values: Tensor) -> list[Sound]:
        """Recordings."""
        return [self.transform.decode(one) for one in values]


@dataclass(frozen=True)
class VectorModality:
    """Plain numbers in [-1, 1]: attributes, measurements, embeddings.

    Attributes:
        dim: how many.
    """

    dim: int

    def __post_init__(self) -> None:
        if isinstance(self.dim, bool) or not isinstance(positive("dim", self.dim), int):
            raise ConfigError(f"dim must be a whole number, got {self.dim!r}.")

    @classmethod
    def parse(cls, text: str) -> "VectorModality | None":
        """The modality of ``10``, or ``None``."""
        return cls(int(text)) if re.fullmatch(r"\d+", text) else None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.dim, 1, 1

    @property
    def spec(self) -> str:
        return f"vector:{self.dim}"

    def read(self, raw: Any, **options: Any) -> Tensor:
        """``(N, dim)`` numbers in [-1, 1].

        Raises:
            ImageInputError: for anything but numbers, another shape, or numbers outside the range.
        """
        try:
            values = torch.as_tensor(raw, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ImageInputError(f"vectors must be numbers (N, {self.dim}), got a {type(raw).__name__}.") from error
        values = values[None] if values.ndim == 1 else values
        if values.ndim != 2 or values.shape[1] != self.dim or not len(values):
            raise ImageInputError(f"vectors must be (N, {self.dim}), got {tuple(values.shape)}.")
        if not (values.abs() <= 1).all():
            raise ImageInputError("vectors must be finite and in [-1, 1]; scale them first.")
        return values[:, :, None, None]

    def read_labelled(self, raw: Any, **options: Any) -> tuple[Tensor, list[str | None]]:
        """The numbers, which have no labels of their own."""
        known_options("vectors", options, ())
        values = self.read(raw)
        return values, [None] * len(values)

    def decode(self, values: Tensor) -> Tensor:
        """``(N, dim)``."""
        return values.flatten(1)
