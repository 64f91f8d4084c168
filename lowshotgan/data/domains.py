"""Two sets of images without pairs, and the zoomed batches translation between them is trained on."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.data.dataset import ImageSet, load_images
from lowshotgan.errors import ConfigError, ImageInputError
from lowshotgan.types import Batches


def load_domains(data: Any, *, resolution: int, **options: Any) -> "DomainPair":
    """Open and prepare the images of two domains.

    Args:
        data: a folder with exactly two sub-folders, or a mapping from two names to images (anything ``load_images``
            takes). In order of their names the first is domain a, the second b. Or a ``DomainPair`` of this resolution,
            which is returned as it is.
        resolution: side of the prepared images in pixels.
        options: of ``load_images``, for both.

    Raises:
        ImageInputError: if there are not exactly two, or images cannot be read.
        ConfigError: for a ``DomainPair`` of another resolution.
    """
    if isinstance(data, DomainPair):
        found = data.images["a"].resolution
        if found != resolution:
            raise ConfigError(
                f"the DomainPair has images of {found} px, where {resolution} px are needed; pass what it was made of."
            )
        return data
    parts = dict(data) if isinstance(data, Mapping) else _sub_folders(data)
    if len(parts) != 2:
        raise ImageInputError(
            f"translation between domains needs exactly two, found {len(parts)} ({', '.join(map(str, sorted(parts)[:5]))});"
            " pass a folder with two sub-folders, or a mapping from two names to images."
        )
    a, b = sorted(parts)
    sets = [load_images(parts[name], resolution=resolution, **options) for name in (a, b)]
    return DomainPair({"a": sets[0], "b": sets[1]}, {"a": str(a), "b": str(b)})


class DomainPair:
    """The images of domains a and b.

    Args:
        images: by "a" and "b".
        names: what the user calls them.
    """

    def __init__(self, images: Mapping[str, ImageSet], names: Mapping[str, str]) -> None:
        self.images, self.names = dict(images), dict(names)

    def __len__(self) -> int:
        return sum(len(images) for images in self.images.values())

    def describe(self) -> dict[str, Any]:
        """What identifies the images, as plain values."""
        return {self.names[domain]: images.describe() for domain, images in self.images.items()}


class Zoomed:
    """Batches of which every other image is cut to a random 80 to 100 per cent of its sides and enlarged again.

    Args:
        batches: ``(B, 3, H, W)`` tensors.
        least: the smallest share of the sides that is kept; 1 changes nothing.
        seed: of the cuts, with the number of batches drawn; each process needs one of its own.
    """

    def __init__(self, batches: Batches, *, least: float = 0.8, seed: str = "0") -> None:
        self.batches, self.least, self.seed = batches, least, seed
        self.drawn = 0

    def __next__(self) -> Tensor:
        images = next(self.batches)
        digest = hashlib.sha256(f"{self.seed} {self.drawn}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        self.drawn += 1
        if self.least >= 1:
            return images  # type: ignore[no-any-return]
        chances = torch.rand(len(images), 4, generator=generator).tolist()
        return torch.cat([self._zoom(one[None], *chance) for one, chance in zip(images, chances, strict=True)])

    def _zoom(self, image: Tensor, whether: float, share: float, top: float, left: float) -> Tensor:
        if whether >= 0.5:
            return image
        height, width = image.shape[2:]
        kept = self.least + (1 - self.least) * share
        rows, columns = max(1, round(height * kept)), max(1, round(width * kept))
        y, x = int(top * (height - rows + 1)), int(left * (width - columns + 1))
        cut = image[:, :, y : y + rows, x : x + columns]
        return F.interpolate(cut, size=(height, width), mode="bilinear", antialias=True)

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn, "batches": self.batches.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.drawn = int(state["drawn"])
        self.batches.load_state_dict(state["batches"])


def _sub_folders(data: Any) -> dict[str, Path]:
    if not isinstance(data, str | Path):
        raise ImageInputError(
            f"cannot use a {type(data).__name__} as two domains; pass a folder with two sub-folders, or a mapping."
        )
    path = Path(data).expanduser()
    if not path.is_dir():
        raise ImageInputError(f"{path} is not a folder (looked in {Path.cwd()}); check the path.")
    return {entry.name: entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
