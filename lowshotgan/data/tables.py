"""Tables in files: the lines of a ``.csv`` and the array of a ``.npy``."""

import csv
import io
from pathlib import Path

import numpy as np

from lowshotgan.errors import ConfigError


def csv_lines(text: str) -> list[list[str]]:
    """The cells of each line without the space around them; lines without any text are left out.

    Raises:
        csv.Error: if the text is no table.
    """
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    lines = ([cell.strip() for cell in line] for line in reader)
    return [line for line in lines if any(line)]


def split_hint(header: list[str]) -> str:
    """What to do about a header that is one cell although it names several columns; "" for any other."""
    found = [mark for mark in (";", "\t") if len(header) == 1 and mark in header[0]]
    return f" Its columns seem to be split by {found[0]!r}; save it with commas." if found else ""


def read_array(path: Path) -> np.ndarray:
    """The one array of a ``.npy``, which is never unpickled.

    Raises:
        ConfigError: if the file cannot be read or holds anything else.
    """
    try:
        with path.open("rb") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as an array of numbers ({error}).") from error
