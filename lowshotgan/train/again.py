"""The command line that runs a fine-tuning again, for its report."""

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lowshotgan.finetune.parts import Part
from lowshotgan.finetune.recipes import RECIPES
from lowshotgan.train.adaptation import Adaptation, AdaptOptions
from lowshotgan.train.loop import LoopSettings
from lowshotgan.train.run import RunFolder


def run_again(work: Adaptation, run: RunFolder) -> dict[str, str]:
    """``{"command": ...}``, or ``{"no_command": why}`` for a call of ``finetune()`` that has no such command."""
    reasons = list(_only_in_python(work))
    if reasons:
        return {"no_command": f"Only Python can run this again: {'; '.join(reasons)}."}
    model = str(work.base.source_name)
    words = ["lowshotgan", "finetune", _place(str(work.given)), "--output", str(run.path), "--model", _place(model)]
    return {"command": shlex.join([*words, "--recipe", _recipe_name(work) or "", *_options(work)])}


def _only_in_python(work: Adaptation) -> Iterator[str]:
    if not isinstance(work.given, str | os.PathLike):
        yield f"the images were no folder, zip or file but a {type(work.given).__name__}"
    if work.base.source_name is None:
        yield "the base model has no name or folder"
    if _recipe_name(work) is None:
        yield "the recipe is none of 'lowshotgan list --recipes'"
    if work.options.extractor not in (AdaptOptions.extractor, "lsg1", "inception"):
        yield f"extractor={work.options.extractor!r} is known to Python only"
    overrides = work.options.overrides.items()
    yield from (f"{name}={value!r} cannot be typed" for name, value in overrides if _typed(value) is None)


def _recipe_name(work: Adaptation) -> str | None:
    recipe = work.options.recipe
    if isinstance(recipe, str):
        return recipe
    return recipe.name if RECIPES.get(recipe.name) == recipe else None


def _options(work: Adaptation) -> Iterator[str]:
    """The seed, and what differs from the defaults of ``lowshotgan finetune``."""
    options, settings = work.options, work.settings
    usual = AdaptOptions()
    yield from ("--seed", str(settings.seed))
    if settings.precision != LoopSettings.precision:
        yield from ("--precision", settings.precision)
    if settings.accumulate != LoopSettings.accumulate:
        yield from ("--accumulate", str(settings.accumulate))
    if settings.budget is not None:
        yield from ("--budget", f"{settings.budget:.12g}")
    if tuple(options.background) != usual.background:
        yield from ("--background", ",".join(map(str, options.background)))
    if options.flip is not None:
        yield "--flip" if options.flip else "--no-flip"
    for name, option in _OPTIONS.items():
        if getattr(options, name) != getattr(usual, name):
            yield from (option, str(getattr(options, name)))
    for name, value in options.overrides.items():
        yield from ("--set", f"{name.replace('.', '__')}={_typed(value)}")


_OPTIONS = {
    "k": "-k",
    "steps": "--steps",
    "batch_size": "--batch-size",
    "fit": "--fit",
    "proximity": "--proximity",
    "extractor": "--extractor",
}


def _typed(value: Any) -> str | None:
    """A value as ``--set`` reads it (TOML; parts of a recipe as text); ``None`` if it cannot be written so."""
    if isinstance(value, Part):
        return json.dumps(str(value))
    if isinstance(value, bool | int | float | str):
        return json.dumps(value)
    if isinstance(value, Mapping):
        entries = {key: _typed(each) for key, each in value.items()}
        return None if None in entries.values() else f"{{{', '.join(f'{k} = {v}' for k, v in entries.items())}}}"
    if isinstance(value, Sequence):
        parts = [_typed(each) for each in value]
        return None if None in parts else f"[{', '.join(map(str, parts))}]"
    return None


def _place(name: str) -> str:
    """A name or path with ``~`` spelt out, which no shell replaces within quotes."""
    return os.path.expanduser(name)
