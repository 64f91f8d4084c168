"""Systems whose averaged generator has batch norm: its statistics are found again once its weights have moved."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from lowshotgan.nets.batch_norm import recompute_batch_norm
from lowshotgan.systems.base import System
from lowshotgan.types import PathLike


class Settling(System):
    """Base of such systems: each step of training calls ``moved``, and whatever draws or saves calls ``settle``.

    Attributes:
        statistics_samples: latents behind the batch-norm statistics of a trained generator.
    """

    statistics_samples: int = 1000
    _stale: bool = False

    def drawing(self) -> nn.Module:
        """The averaged network, from latents alone; the generator unless the system says otherwise."""
        return self.generator

    def moved(self, step: int, log: dict[str, float]) -> None:
        """Note, after a step, that the statistics no longer belong to the weights."""
        self._stale = True

    def settle(self) -> None:
        """Recompute the batch-norm statistics if the averaged weights have moved since the last time."""
        if self._stale:
            recompute_batch_norm(self.drawing(), z_dim=self.config.z_dim, samples=self.statistics_samples)
            self._stale = False

    @contextmanager
    def unsettled(self) -> Iterator[None]:
        """Draw with the statistics there are, as previews during training do."""
        stale, self._stale = self._stale, False
        try:
            yield
        finally:
            self._stale = stale

    def save_pretrained(self, folder: PathLike, **options: Any) -> Any:
        """Write the model folder (see ``System.save_pretrained``), with statistics that belong to the weights."""
        self.settle()
        return super().save_pretrained(folder, **options)
