"""Options several commands share, and how their texts become values. Imports no torch."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lowshotgan.checks import parse_duration, parse_seeds
from lowshotgan.errors import ConfigError

if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType


class Seeds(_Type):
    """``0,5,10-19`` as a list of whole numbers."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        try:
            return parse_seeds(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


class Duration(_Type):
    """``90s``, ``9m`` or ``1h30m``, kept as written once it is known to be readable."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            parse_duration(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        return value


class Colour(_Type):
    """``white``, ``#0e092c`` or ``14,9,44`` as three numbers from 0 to 255."""

    name = "colour"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        from PIL import ImageColor

        try:
            parts = value.split(",") if isinstance(value, str) and "," in value else value
            channels = ImageColor.getrgb(parts)[:3] if isinstance(parts, str) else [int(part) for part in parts]
            red, green, blue = channels
        except (ValueError, TypeError):
            self.fail(f"{value!r} is no colour; write white, #ffffff or 255,255,255.", param, ctx)
        if not all(0 <= channel <= 255 for channel in (red, green, blue)):
            self.fail(f"{value!r} has a channel outside 0 to 255.", param, ctx)
        return red, green, blue


class Part(_Type):
    """A path that exists, or ``NAME=PATH`` with such a path, as ``(NAME, PATH)``; NAME is "" for a path alone."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, path = value.partition("=")
        if Path(value).exists():
            return "", value
        if not equals or not name.isidentifier():
            self.fail(f"{value!r} does not exist; write PATH, or NAME=PATH for one of several modalities.", param, ctx)
        if not Path(path).exists():
            self.fail(f"{path!r}, which is to be {name}, does not exist.", param, ctx)
        return name, path


def parts(ctx: click.Context, param: click.Parameter, value: Sequence[tuple[str, str]]) -> str | dict[str, str] | None:
    """Nothing, one path, or a mapping from name to path."""
    names = [name for name, _ in value]
    if names in ([], [""]):
        return value[0][1] if value else None
    if "" in names or len(set(names)) < len(names):
        raise click.BadParameter("give one PATH alone, or NAME=PATH with a name of its own for each.", ctx, param)
    return dict(value)


def read_config(path: str | Path) -> dict[str, Any]:
    """The flat table of settings in a TOML or JSON file; ``batch-size`` and ``batch_size`` are the same key.

    Raises:
        ConfigError: if the file cannot be read or holds no table.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the settings in {path} ({error}); write TOML, or JSON in *.json.") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path} must hold a table of settings such as steps = 500, found a {type(content).__name__}."
        )
    return {key.replace("-", "_"): value for key, value in content.items()}


def _use_config(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None or ctx.resilient_parsing:
        return value
    settings = read_config(value)
    changes = settings.pop("set", {})
    if not isinstance(changes, dict):
        raise ConfigError(f"{value}: 'set' must be a table such as [set] with lr = 0.001 below it.")
    known = {p.name for p in ctx.command.params if p.name and p is not param and p.name != "help"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ConfigError(f"{value}: unknown setting {unknown[0]!r}. Known: {', '.join(sorted(known))}.")
    changes_as_text = [f"{name}={json.dumps(entry)}" for name, entry in changes.items()]
    ctx.default_map = {**(ctx.default_map or {}), **settings, "changes": changes_as_text}
    return value


config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, exists=True),
    callback=_use_config,
    is_eager=True,
    expose_value=False,
    help="TOML or JSON file with any of these options (batch_size = 4); options given here win over it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
dry_run_option = click.option(
    "-n", "--dry-run", is_flag=True, help="Print the resolved settings and stop; nothing is written."
)
device_option = click.option("--device", help="cpu, cuda, cuda:1, mps, or auto for the best there is.")
offline_option = click.option("--offline", is_flag=True, help="Use local files only; never ask the network.")
output_option = click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder of the run."
)


def overrides(changes: Sequence[str]) -> dict[str, Any]:
    """``["lr=0.001", "flip=false"]`` as a dictionary; values are read as TOML, words that are none stay text.

    Raises:
        ConfigError: if an entry has no name or no equals sign.
    """
    found: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError(f"--set wants NAME=VALUE such as lr=0.001, got {change!r}.")
        try:
            found[name.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.strip()] = text.strip()
    return found


def examples(*lines: str) -> str:
    """The epilogue of a help text, one command a line."""
    return "\b\nExamples:\n" + "\n".join(f"  lowshotgan {line}" for line in lines)
