"""What the settings of LaDo, GenHo and PFS-GAN have in common."""

from typing import Protocol

from lowshotgan.checks import not_negative, one_of, positive
from lowshotgan.errors import ConfigError

STATISTICS = ("recalibrate", "running")
PARTNERS = ("given", "invert")
CHANNELS = (1, 3)


class Schedule(Protocol):
    """How long and how fast a stage trains, whose batch-norm statistics stay, and how its average moves."""

    @property
    def steps(self) -> int | None: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def lr(self) -> float: ...

    @property
    def bn(self) -> str: ...

    @property
    def ema_half_life(self) -> float: ...


class PairedSchedule(Schedule, Protocol):
    """The same for fine-tuning, with where partners come from."""

    @property
    def partners(self) -> str: ...


def check_channels(channels: int) -> None:
    """Refuse images that are neither coloured nor grey; raises ``ConfigError``."""
    if channels not in CHANNELS:
        raise ConfigError(f"channels must be 3 (colour) or 1 (grey), got {channels}.")


def check_training(settings: Schedule) -> None:
    """Refuse a schedule that cannot be run; raises ``ConfigError``."""
    if settings.steps is not None:
        positive("steps", settings.steps)
    positive("lr", settings.lr)
    if positive("batch_size", settings.batch_size) < 2:
        raise ConfigError("batch_size must be at least 2: the networks normalise over the batch.")
    one_of("bn", settings.bn, STATISTICS)
    not_negative(settings, "ema_half_life")


def check_finetuning(settings: PairedSchedule) -> None:
    """The same for fine-tuning to pairs."""
    check_training(settings)
    one_of("partners", settings.partners, PARTNERS)
