"""What every source of images answers: how many there are, what they are called, and one of them decoded."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from PIL import Image

from lowshotgan.data.decode import Decoded


class Source(ABC):
    """An ordered, read-only collection of images that are decoded one at a time.

    Attributes:
        description: for messages, such as ``folder photos``.
        skipped: kind of thing that was passed over (``".csv"``, ``"hidden"``) -> how often.
        parallel: whether several threads may call ``decode`` at once.
    """

    description: str
    skipped: Mapping[str, int] = {}
    parallel: bool = True

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """What image ``index`` is called in messages and records; for files the relative path, with ``/``."""

    def label(self, index: int) -> str | None:
        """What image ``index`` shows: the folder it lies in, or what a label file says; ``None`` if there is neither."""
        folders = self.name(index).split("/")[:-1]
        return folders[-1] if folders else None

    @abstractmethod
    def decode(self, index: int) -> Decoded:
        """Decode image ``index``: first frame, EXIF rotation applied, stored mode.

        Raises:
            ImageInputError: if it cannot be read; the message holds its name.
        """

    def read(self, index: int) -> Image.Image:
        """The PIL image of ``decode``."""
        return self.decode(index).image


class Subset(Source):
    """Some images of another source, in the order of ``indices``."""

    def __init__(self, source: Source, indices: Sequence[int]) -> None:
        self.source, self.indices = source, list(indices)
        self.description, self.skipped, self.parallel = source.description, source.skipped, source.parallel

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        return self.source.name(self.indices[index])

    def label(self, index: int) -> str | None:
        return self.source.label(self.indices[index])

    def decode(self, index: int) -> Decoded:
        return self.source.decode(self.indices[index])
