"""What SyncGAN returns: generated items of one modality or of several."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lowshotgan.checks import one_of
from lowshotgan.data.audio import Sound
from lowshotgan.data.images import image_grid
from lowshotgan.errors import ConfigError
from lowshotgan.systems.generation import Generation
from lowshotgan.systems.syncgan.modalities import Modality


@dataclass(frozen=True)
class JointGeneration(Generation):
    """Generated items of one modality or of several, synchronous by position; ``tensor`` shows the first of them.

    Attributes:
        values: modality -> ``(N, C, H, W)`` in [-1, 1].
        modalities: modality -> how to decode it.
        error: after ``transfer``, ``(N,)`` what is left of the difference from each item; else ``None``.
    """

    values: Mapping[str, Tensor] = field(default_factory=dict)
    modalities: Mapping[str, Modality] = field(default_factory=dict)
    error: Tensor | None = None

    def decoded(self, name: str) -> Any:
        """PIL images, ``Sound`` objects or ``(N, dim)`` numbers of one modality."""
        one_of("modality", name, self.values)
        return self.modalities[name].decode(self.values[name])

    def grid(self, columns: int | None = None) -> Image.Image:
        """Every item of every modality that can be shown, those of one concept side by side; sound as spectrograms with
        low frequencies at the bottom.

        Args:
            columns: concepts in a row; nearly square by default.
        """
        shown = [
            values.flip(2) if self._is_sound(name) else values
            for name, values in self.values.items()
            if is_picture(values)
        ]
        if not shown:
            return super().grid(columns)
        columns = columns or math.ceil(math.sqrt(len(self)))
        return image_grid(side_by_side(shown), columns * len(shown))

    def _is_sound(self, name: str) -> bool:
        return self.modalities[name].spec.startswith("logmel")

    @property
    def audio(self) -> list[Sound]:
        """The recordings.

        Raises:
            ConfigError: if no modality is sound.
        """
        for name, values in self.values.items():
            if isinstance(next(iter(self.modalities[name].decode(values[:1])), None), Sound):
                found: list[Sound] = self.decoded(name)
                return found
        raise ConfigError(f"there is no sound among {', '.join(self.values)}; generate with its modality.")

    def save(self, folder: str | Path, *, prefix: str = "seed") -> list[Path]:
        """Write a PNG or WAV for each item of each modality, named by seed (or position); what is neither is left out."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = self.seeds if self.seeds is not None else range(len(self))
        paths = []
        for name in self.values:
            for number, one in zip(numbers, self.decoded(name), strict=False):
                if not isinstance(one, Sound | Image.Image):
                    continue
                ending = "wav" if isinstance(one, Sound) else "png"
                paths.append(folder / f"{prefix}{number:06d}_{name}.{ending}")
                one.save(paths[-1])
        return paths


def is_picture(values: Tensor) -> bool:
    """Whether ``(N, C, H, W)`` can be shown as it is: grey or RGB, and more than a line."""
    return values.shape[1] in (1, 3) and min(values.shape[2:]) > 1


def pictures(values: Mapping[str, Tensor]) -> Tensor:
    """``(N, 3, H, W)`` of the first modality: grey becomes RGB, what is no picture becomes stripes."""
    first = next(iter(values.values()))
    if not is_picture(first):
        first = first.flatten(1)[:, None, None, :].expand(-1, -1, 8, -1)
    return first.expand(-1, 3, -1, -1)


def side_by_side(shown: Sequence[Tensor]) -> Tensor:
    """``(M N, 3, S, S)`` of M times ``(N, C, H, W)``: position by position, all as large as the largest."""
    side = max(values.shape[-1] for values in shown)
    alike = [F.interpolate(values.expand(-1, 3, -1, -1), size=(side, side)) for values in shown]
    return torch.stack(alike, dim=1).flatten(0, 1)
