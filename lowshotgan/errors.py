"""Every error the library raises on purpose; each message names what was wrong, the value seen and the next action."""


class LowshotganError(Exception):
    """Base of all errors raised on purpose; the command line prints it without a traceback."""


class ConfigError(LowshotganError, ValueError):
    """An argument or configuration value that cannot be used."""


class RecipeError(ConfigError):
    """A fine-tuning recipe whose parts do not fit together, the model or the number of images."""


class ImageInputError(LowshotganError, ValueError):
    """Images that cannot be read or used: unreadable file, empty folder, wrong kind of file."""


class WeightsError(LowshotganError, RuntimeError):
    """Weights that were found but cannot be used."""


class WeightsNotFoundError(WeightsError, FileNotFoundError):
    """Weights found in none of the places searched."""


class WeightsHashError(WeightsError):
    """A weights file whose SHA-256 differs from the one recorded for it."""


class WeightsFormatError(WeightsError):
    """A weights file or its configuration that is damaged, unsafe or does not match the model."""


class DeltaError(WeightsError):
    """A fine-tuned delta that does not belong to the base model it is applied to."""


class CheckpointError(LowshotganError, RuntimeError):
    """A training checkpoint that cannot be resumed from."""


class UnsupportedVerbError(LowshotganError, TypeError):
    """A verb (``translate``, ``project`` ...) that this system does not answer."""


class MissingExtraError(LowshotganError, ImportError):
    """An optional dependency that is not installed; the message holds the ``pip install`` line."""


class DivergenceError(LowshotganError, ArithmeticError):
    """Training whose gradients stay non-finite; the last good checkpoint is kept."""
