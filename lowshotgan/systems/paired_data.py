"""What the paired systems learn from: source images, perhaps with pairs, and shots that need partners."""

from collections.abc import Callable, Mapping
from typing import Any

from lowshotgan.data.dataset import ImageSet
from lowshotgan.data.pairs import PairSet
from lowshotgan.errors import ConfigError


class SourceData:
    """Images of the source domain, and perhaps pairs that show which content they share with a target."""

    def __init__(self, images: ImageSet, pairs: PairSet | None = None) -> None:
        if pairs is not None and pairs.source is None:
            raise ConfigError("pairs for training need both partners; pass (source, target).")
        self.images, self.pairs = images, pairs

    def __len__(self) -> int:
        return len(self.images)

    def describe(self) -> dict[str, Any]:
        """What identifies the data, as plain values."""
        about = self.images.describe()
        return about if self.pairs is None else about | {"pairs": self.pairs.describe()}


def read_source_data(
    data: Any,
    pairs: Any,
    read_images: Callable[..., ImageSet],
    read_pairs: Callable[..., PairSet],
    options: Mapping[str, Any],
) -> SourceData:
    """Open ``data``, which are images or ``{"images": ..., "pairs": ...}``, with what pairs understand of ``options`` too.

    Raises:
        ConfigError: for a mapping with other keys, or pairs without partners.
    """
    if isinstance(data, Mapping):
        unknown = sorted(set(data) - {"images", "pairs"})
        if unknown or "images" not in data:
            raise ConfigError(f"data as a mapping have 'images' and perhaps 'pairs', got {', '.join(data)}.")
        data, pairs = data["images"], data.get("pairs", pairs)
    images = read_images(data, **options)
    if pairs is None:
        return SourceData(images)
    shared = {key: value for key, value in options.items() if key in ("fit", "background", "enlarge")}
    return SourceData(images, read_pairs(pairs, **shared))


def check_partners(pairs: PairSet, partners: str) -> None:
    """Refuse targets without partners, unless they are to be searched.

    Raises:
        ConfigError: telling how to give partners.
    """
    if pairs.source is None and partners != "invert":
        raise ConfigError(
            f"the {len(pairs)} shots have no source partners. Pass pairs=(source_folder, target_folder), a folder of "
            "images that show both side by side, or partners='invert' to search partners among the base's own images."
        )
