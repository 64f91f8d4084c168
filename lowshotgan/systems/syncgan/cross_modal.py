"""What both SyncGAN systems share: modalities as objects or lines of text, and data that says what belongs together."""

from collections.abc import Mapping
from typing import Any, Self

from lowshotgan.checks import keywords
from lowshotgan.data.dataset import IMAGE_OPTIONS
from lowshotgan.errors import ConfigError
from lowshotgan.systems.base import System
from lowshotgan.systems.syncgan.data import SyncData, read_sync_data
from lowshotgan.systems.syncgan.modalities import Modality
from lowshotgan.systems.syncgan.specs import as_lines


class CrossModal(System):
    """A system between modalities, whose configuration has ``modalities`` and ``parsed``.

    Attributes:
        modalities: by name.
    """

    modalities: dict[str, Modality]

    def __init__(self, config: Any, *, arch: str) -> None:
        super().__init__(config, arch=arch)
        self.modalities = config.parsed

    @classmethod
    def build(cls, arguments: Mapping[str, Any], *, arch: str) -> Self:
        """An untrained system; ``modalities`` may be a mapping from name to modality, or to its line of text."""
        lines = {"modalities": as_lines(arguments["modalities"])} if "modalities" in arguments else {}
        return super().build({**arguments, **lines}, arch=arch)

    def read_data(self, data: Any, **options: Any) -> SyncData:
        """Items of every modality with ``labels`` or ``pairs``; see ``read_sync_data``."""
        return read_sync_data(data, self.modalities, **options)

    @property
    def data_options(self) -> frozenset[str]:
        return keywords(read_sync_data) | IMAGE_OPTIONS | frozenset(self.modalities)

    def judges_for(self, wanted: str) -> Any:
        """The judges; raises ``ConfigError`` if the weights came without them, which ``wanted`` needs."""
        if self.discriminator is None:
            raise ConfigError(
                f"{self.arch} was loaded without its judges, which {wanted} needs; save it with discriminator=True."
            )
        return self.discriminator
