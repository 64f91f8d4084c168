"""What ``generate()`` returns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lowshotgan.checks import one_of, parse_seeds, whole, within
from lowshotgan.data.images import image_grid, to_pil
from lowshotgan.draws import latents_from_seeds
from lowshotgan.errors import ConfigError
from lowshotgan.hub.tensors import read_tensors

OutputType = Literal["pil", "pt", "np"]


@dataclass(frozen=True)
class Generation:
    """Generated images with what made them.

    Attributes:
        tensor: ``(N, 3, H, W)`` float32 on the CPU in [-1, 1]; ``(N, 1, H, W)`` from models of grey images.
        seeds: the seed of each image, or ``None`` for images made from given latents.
        latents: ``(N, ...)`` what the images were made from, on the CPU.
        output_type: the form of ``images``.
    """

    tensor: Tensor
    seeds: Sequence[int] | None
    latents: Tensor
    output_type: OutputType = "pil"

    @property
    def images(self) -> Any:
        """A list of PIL images ("pil"), or values in [0, 1]: ``(N, C, H, W)`` tensor ("pt"), ``(N, H, W, C)`` array
        ("np")."""
        one_of("output_type", self.output_type, ("pil", "pt", "np"))
        if self.output_type == "pil":
            return to_pil(self.tensor)
        unit = self.tensor.clamp(-1, 1) * 0.5 + 0.5
        return unit if self.output_type == "pt" else np.ascontiguousarray(unit.permute(0, 2, 3, 1).numpy())

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, index: int | slice) -> Any:
        """One image, or several, in the form of ``images``."""
        return self.images[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.images)

    def grid(self, columns: int | None = None) -> Image.Image:
        """All images in one picture, nearly square unless ``columns`` is given."""
        return image_grid(self.tensor, columns)

    def save(self, folder: str | Path, *, prefix: str = "seed") -> list[Path]:
        """Write one PNG per image, named by seed (or position), and return the paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = self.seeds if self.seeds is not None else range(len(self))
        paths = []
        for number, image in zip(numbers, to_pil(self.tensor), strict=True):
            paths.append(folder / f"{prefix}{number:06d}.png")
            image.save(paths[-1])
        return paths

    def save_animation(self, path: str | Path, *, fps: float = 20.0) -> Path:
        """Write the images as frames of a looping ``.gif`` or ``.webp``, or an ``.mp4`` (extra ``video``).

        Raises:
            ConfigError: for another suffix.
            MissingExtraError: for ``.mp4`` without the ``video`` extra.
        """
        from lowshotgan.data.animation import write_animation

        return write_animation(to_pil(self.tensor), Path(path), fps=fps)


def check_drawing(batch_size: int | None, output_type: str, *, truncation: float = 1.0, usual: int = 16) -> int:
    """Check what ``generate`` methods share, before anything is drawn.

    Args:
        batch_size: a whole number of at least 1, or ``None``.
        output_type: "pil", "pt" or "np".
        truncation: from 0 to 2.
        usual: images per forward pass for ``batch_size=None``.

    Returns:
        Images per forward pass.

    Raises:
        ConfigError: naming the option that is unusable.
    """
    one_of("output_type", output_type, ("pil", "pt", "np"))
    within("truncation", truncation, 0, 2)
    return usual if batch_size is None else whole("batch_size", batch_size)


def requested_latents(
    z_dim: int, n: int | None, *, seeds: int | str | Sequence[int] | None, latents: Any
) -> tuple[list[int] | None, Tensor]:
    """The seeds that a call of ``generate`` asks for (``None`` for given latents), and its latents ``(N, z_dim)``.

    Raises:
        ConfigError: for latents together with seeds, for unusable seeds, and as ``read_latents``.
    """
    if latents is None:
        used = parse_seeds(seeds, n)
        return used, latents_from_seeds(used, z_dim)
    if seeds is not None or n is not None:
        raise ConfigError("pass either latents or seeds (or n), not both.")
    return None, read_latents(latents)


def read_latents(given: Any) -> Tensor:
    """Latents ``(N, ...)``, float32, from a tensor, an array, lists of numbers, or a ``.safetensors`` file with one tensor,
    as ``lowshotgan project`` writes it.

    Raises:
        ConfigError: if they are nothing of the kind.
        WeightsFormatError: if the file is damaged.
    """
    if isinstance(given, str | Path):
        found = read_tensors(given)
        if len(found) != 1:
            raise ConfigError(
                f"{given} holds {len(found)} tensors; a file of latents holds one, such as ws.safetensors."
            )
        given = next(iter(found.values()))
    try:
        latents = torch.as_tensor(given, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"latents must be numbers (N, ...), got {type(given).__name__}: {error}.") from error
    if latents.ndim < 2 or not latents.numel():
        raise ConfigError(f"latents must be (N, ...), one row for each image, got {tuple(latents.shape)}.")
    return latents
