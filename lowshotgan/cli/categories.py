"""Categories on the command line: a name, attributes or numbers, and tables of further ones."""

from collections.abc import Sequence
from typing import Any

import click

from lowshotgan.errors import ConfigError

CATEGORY_HELP = "For models that draw categories: a name, attributes (colour=red,shape=ring) or numbers (0,1,0.5)."

knowledge_option = click.option(
    "--knowledge",
    type=click.Path(exists=True, dir_okay=False),
    help="For models that draw categories from knowledge: a table (.csv) of further categories.",
)


def add_knowledge(system: Any, knowledge: str | None) -> None:
    """Make the categories of a table known to a loaded model.

    Raises:
        ConfigError: if the model takes none, or the table does not fit it.
    """
    if knowledge is None:
        return
    if not hasattr(system, "add_categories"):
        raise ConfigError(f"{system.arch} draws no categories from knowledge; leave out --knowledge.")
    system.add_categories(knowledge)


def as_category(text: str, known: Sequence[str] = ()) -> Any:
    """What ``generate(category=...)`` takes, from a text; names the model knows win.

    Raises:
        ConfigError: for attributes without a group or value.
    """
    parts = [part.strip() for part in text.split(",")]
    if text in known:
        return text
    if any("=" in part for part in parts):
        pairs = [part.partition("=") for part in parts]
        if not all(group and value for group, _, value in pairs):
            raise ConfigError(
                f"attributes look like colour=red,shape=ring (several values: colour=red+blue), got {text!r}."
            )
        return {group: value.split("+") for group, _, value in pairs}
    try:
        return [float(part) for part in parts] if len(parts) > 1 else text
    except ValueError:
        return text
