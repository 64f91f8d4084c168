"""How results are printed: text for people, one JSON object for programs. Imports no torch."""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import click

from lowshotgan.errors import ConfigError


def show(value: Any, *, as_json: bool, text: str | None = None) -> None:
    """Print ``value`` as JSON in ASCII, or else ``text`` (by default one ``key: value`` line for each entry)."""
    if os.environ.get("RANK", "0") != "0":  # torchrun: the main process speaks for all
        return
    if as_json:
        click.echo(json.dumps(plain(value), indent=2))
    else:
        click.echo(lines(plain(value)) if text is None else text)


def plain(value: Any) -> Any:
    """``value`` as strings, numbers, lists and dictionaries; values that are not finite become ``None``."""
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence | Set | range):
        return [plain(entry) for entry in value]
    return str(value)


def lines(value: Any, indent: str = "") -> str:
    """A nested dictionary or list as indented ``key: value`` lines."""
    if isinstance(value, Mapping):
        pairs = [(f"{key}:", entry) for key, entry in value.items()]
    elif isinstance(value, list) and not _is_row(value):
        pairs = [("-", entry) for entry in value]
    else:
        return f"{indent}{_word(value)}"
    out = []
    for head, entry in pairs:
        nested = isinstance(entry, Mapping | list) and len(entry) > 0 and not _is_row(entry)
        out.append(f"{indent}{head}\n{lines(entry, indent + '  ')}" if nested else f"{indent}{head} {_word(entry)}")
    return "\n".join(out)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows with aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


@contextmanager
def quiet_stdout(active: bool) -> Iterator[None]:
    """While ``active``, what the library prints goes to standard error, so standard output is JSON only."""
    if not active:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def save_picture(picture: Any, path: str | Path) -> None:
    """Save a PIL image, making its folder.

    Raises:
        ConfigError: for an ending that no picture format has; it lists usual ones.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        picture.save(path)
    except ValueError as error:
        raise ConfigError(f"cannot write {path} ({error}); use a name that ends in .png, .webp or .jpg.") from error


def written(path: str | Path) -> str:
    return f"wrote {path}"


def _is_row(value: Any) -> bool:
    """Whether ``value`` is a list that fits on one line: numbers, or a few short words."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(entry, int | float) or (isinstance(entry, str) and len(entry) <= 24) for entry in value)


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_row(value):
        return ", ".join(map(_word, value))
    if isinstance(value, Mapping | list):
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
