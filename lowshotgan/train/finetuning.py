"""The ways to fine-tune: by a recipe, by stages of the system's own, or from nothing on the same images."""

from pathlib import Path
from typing import Any, cast

import torch

from lowshotgan.checks import given
from lowshotgan.data.dataset import load_images
from lowshotgan.errors import ConfigError, RecipeError
from lowshotgan.finetune.recipe import Recipe, fit_to
from lowshotgan.finetune.recipes import RECIPES
from lowshotgan.systems.base import System
from lowshotgan.systems.registry import ARCHS
from lowshotgan.systems.stylegan2.system import StyleGAN2
from lowshotgan.train.adapt import adapt
from lowshotgan.train.adaptation import AdaptOptions
from lowshotgan.train.loop import LoopSettings
from lowshotgan.train.run import MODEL
from lowshotgan.train.source import TrainResult, build_system, finetune_source, train_source
from lowshotgan.types import PathLike


def finetune_model(
    base: System,
    images: Any,
    pairs: Any = None,
    *,
    output_dir: PathLike,
    options: AdaptOptions,
    settings: LoopSettings,
    **running: Any,
) -> TrainResult | dict[str, Any]:
    """Fine-tune ``base`` in the way that it and the recipe ask for; see ``api.finetune``.

    Args:
        running: ``device``, ``hooks``, ``progress``, ``tensorboard`` and ``dry_run``.
    """
    _keep_base(base, Path(output_dir).expanduser())
    running |= {"output_dir": output_dir, "settings": settings}
    if base.FineTuning is not None:
        return _by_own_stages(base, images, pairs, options, **running)
    if pairs is not None or images is None:
        raise ConfigError(f"{base.system} is adapted to images; pass images, not pairs.")
    recipe = RECIPES.get(options.recipe) if isinstance(options.recipe, str) else options.recipe
    if recipe is not None and recipe.scratch:
        return _from_nothing(base, images, recipe, options, **running)
    return adapt(cast(StyleGAN2, base), images, options=options, **running)


def _by_own_stages(
    base: System, images: Any, pairs: Any, options: AdaptOptions, *, settings: LoopSettings, **running: Any
) -> TrainResult | dict[str, Any]:
    _refuse(f"{base.system} describes its own fine-tuning", options, "recipe", "proximity", "extractor")
    if (images is None) == (pairs is None):
        raise ConfigError("finetune needs examples: pass either images or pairs.")
    shots = images if pairs is None else pairs
    training = _given(options) | dict(options.overrides)
    return finetune_source(
        base, shots, training=training, reading=_reading(options, settings), settings=settings, **running
    )


def _from_nothing(
    base: System, images: Any, recipe: Recipe, options: AdaptOptions, *, settings: LoopSettings, **running: Any
) -> TrainResult | dict[str, Any]:
    """Train a FastGAN at the resolution of ``base``, which gives nothing else; the recipe's values are its defaults."""
    _refuse(f"recipe {recipe.name} trains from scratch", options, "proximity", "extractor")
    if recipe != RECIPES.get(recipe.name):
        raise RecipeError(f"change recipe {recipe.name} by settings of its training, such as lr=0.0001.")
    resolution = base.config.resolution
    arch = f"{recipe.name}_{resolution}"
    if arch not in ARCHS:
        raise RecipeError(
            f"recipe {recipe.name} trains at the model's resolution, but there is no {arch}; choose a model of another "
            "size, such as stylegan2_64."
        )
    found = load_images(images, resolution=resolution, **_reading(options, settings))
    fit_to(recipe, k=len(found))
    training = _given(options) | dict(options.overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        system = build_system(arch, {})
    return train_source(system, found, training=training, settings=settings, **running)


def _keep_base(base: System, folder: Path) -> None:
    """Refuse to write over the base, which a fine-tuned model needs to be blended and its snapshots to be loaded."""
    if base.source_name is None:
        return
    place = Path(base.source_name.removeprefix("local-dir:")).expanduser()
    if place.is_dir() and place.resolve() in (folder.resolve(), (folder / MODEL).resolve()):
        raise ConfigError(f"output_dir {folder} holds the base model; give another folder.")


def _given(options: AdaptOptions) -> dict[str, Any]:
    """The options that are settings of any training."""
    return given(steps=options.steps, batch_size=options.batch_size, flip=options.flip)


def _reading(options: AdaptOptions, settings: LoopSettings) -> dict[str, Any]:
    draw = {} if options.k is None else {"k": options.k, "seed": settings.seed}
    return {"fit": options.fit, "background": options.background, **draw}


def _refuse(why: str, options: AdaptOptions, *names: str) -> None:
    """Complain about options that would be ignored."""
    unused = [name for name in names if getattr(options, name) != getattr(AdaptOptions, name)]
    if unused:
        told = ", ".join(f"{name}={getattr(options, name)!r}" for name in unused)
        raise RecipeError(f"{why}; leave out {told}.")
