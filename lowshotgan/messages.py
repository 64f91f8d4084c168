"""What the library tells a person while it works: the logger ``lowshotgan``, on standard error.

``LOWSHOTGAN_LOG_LEVEL`` (DEBUG, INFO, WARNING, ERROR) sets how much.
"""

import logging
import os

logger = logging.getLogger("lowshotgan")


def tell(text: str) -> None:
    """Say ``text`` at level INFO."""
    _prepare()
    logger.info(text)


def warn(text: str) -> None:
    """Say ``text`` at level WARNING."""
    _prepare()
    logger.warning("warning: %s", text)


def _prepare() -> None:
    """Give the logger a plain handler, unless the application has set one."""
    if logger.handlers or logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    level = os.environ.get("LOWSHOTGAN_LOG_LEVEL", "INFO").upper()
    logger.setLevel(level if level in logging.getLevelNamesMapping() else "INFO")
