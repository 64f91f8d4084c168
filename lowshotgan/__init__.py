"""Low-shot GANs in PyTorch: ten images in, an adapted generator and an honest report out.

The public names below are loaded on first use (PEP 562), so ``import lowshotgan`` imports no torch.
"""

from importlib import import_module
from sys import modules
from types import ModuleType

TYPE_CHECKING = False  # type checkers take it for true; importing typing alone would cost most of the 20 ms
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "convert_checkpoint": "lowshotgan.api",
    "create_model": "lowshotgan.api",
    "doctor": "lowshotgan.api",
    "download": "lowshotgan.api",
    "evaluate": "lowshotgan.api",
    "finetune": "lowshotgan.api",
    "get_weights": "lowshotgan.api",
    "inspect_images": "lowshotgan.api",
    "list_models": "lowshotgan.api",
    "list_recipes": "lowshotgan.api",
    "list_weights": "lowshotgan.api",
    "load": "lowshotgan.api",
    "train": "lowshotgan.api",
    "FinetuneResult": "lowshotgan.train.adapt",
    "Knowledge": "lowshotgan.data.knowledge",
    "Constraint": "lowshotgan.losses.constraints",
    "EmbeddingConstraint": "lowshotgan.losses.constraints",
    "RegionColorConstraint": "lowshotgan.losses.constraints",
    "ImageModality": "lowshotgan.systems.syncgan.modalities",
    "SpectrogramModality": "lowshotgan.systems.syncgan.modalities",
    "VectorModality": "lowshotgan.systems.syncgan.modalities",
    "Generation": "lowshotgan.systems.generation",
    "MetricReport": "lowshotgan.metrics.scores",
    "Recipe": "lowshotgan.finetune.recipe",
    "System": "lowshotgan.systems.base",
    "ClassCode": "lowshotgan.systems.class_code",
    "CheckpointError": "lowshotgan.errors",
    "ConfigError": "lowshotgan.errors",
    "DeltaError": "lowshotgan.errors",
    "DivergenceError": "lowshotgan.errors",
    "ImageInputError": "lowshotgan.errors",
    "LowshotganError": "lowshotgan.errors",
    "MissingExtraError": "lowshotgan.errors",
    "RecipeError": "lowshotgan.errors",
    "UnsupportedVerbError": "lowshotgan.errors",
    "WeightsError": "lowshotgan.errors",
    "WeightsFormatError": "lowshotgan.errors",
    "WeightsHashError": "lowshotgan.errors",
    "WeightsNotFoundError": "lowshotgan.errors",
}
"""Every public name and the file that defines it; tests/public_names.txt holds the same list."""

_VERBS = ("finetune", "train")
"""Public functions that share their name with a folder of the package."""

__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from lowshotgan.api import convert_checkpoint as convert_checkpoint
    from lowshotgan.api import create_model as create_model
    from lowshotgan.api import doctor as doctor
    from lowshotgan.api import download as download
    from lowshotgan.api import evaluate as evaluate
    from lowshotgan.api import finetune as finetune
    from lowshotgan.api import get_weights as get_weights
    from lowshotgan.api import inspect_images as inspect_images
    from lowshotgan.api import list_models as list_models
    from lowshotgan.api import list_recipes as list_recipes
    from lowshotgan.api import list_weights as list_weights
    from lowshotgan.api import load as load
    from lowshotgan.api import train as train
    from lowshotgan.data.knowledge import Knowledge as Knowledge
    from lowshotgan.errors import CheckpointError as CheckpointError
    from lowshotgan.errors import ConfigError as ConfigError
    from lowshotgan.errors import DeltaError as DeltaError
    from lowshotgan.errors import DivergenceError as DivergenceError
    from lowshotgan.errors import ImageInputError as ImageInputError
    from lowshotgan.errors import LowshotganError as LowshotganError
    from lowshotgan.errors import MissingExtraError as MissingExtraError
    from lowshotgan.errors import RecipeError as RecipeError
    from lowshotgan.errors import UnsupportedVerbError as UnsupportedVerbError
    from lowshotgan.errors import WeightsError as WeightsError
    from lowshotgan.errors import WeightsFormatError as WeightsFormatError
    from lowshotgan.errors import WeightsHashError as WeightsHashError
    from lowshotgan.errors import WeightsNotFoundError as WeightsNotFoundError
    from lowshotgan.finetune.recipe import Recipe as Recipe
    from lowshotgan.losses.constraints import Constraint as Constraint
    from lowshotgan.losses.constraints import EmbeddingConstraint as EmbeddingConstraint
    from lowshotgan.losses.constraints import RegionColorConstraint as RegionColorConstraint
    from lowshotgan.metrics.scores import MetricReport as MetricReport
    from lowshotgan.systems.base import System as System
    from lowshotgan.systems.class_code import ClassCode as ClassCode
    from lowshotgan.systems.generation import Generation as Generation
    from lowshotgan.systems.syncgan.modalities import ImageModality as ImageModality
    from lowshotgan.systems.syncgan.modalities import SpectrogramModality as SpectrogramModality
    from lowshotgan.systems.syncgan.modalities import VectorModality as VectorModality
    from lowshotgan.train.adapt import FinetuneResult as FinetuneResult


def __getattr__(name: str) -> "Any":
    if name in _VERBS:
        return import_module(f"lowshotgan.{name}")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'lowshotgan' has no attribute {name!r}; its public names are lowshotgan.__all__")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Verb(ModuleType):
    """A folder that is also a public function: ``lowshotgan.train(...)`` beside ``lowshotgan.train.loop``."""

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        return self.__wrapped__(*args, **kwargs)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return str(self.__wrapped__.__doc__)

    @property
    def __wrapped__(self) -> "Any":
        name = self.__name__.rpartition(".")[2]
        return getattr(import_module(_PUBLIC[name]), name)


class _Package(ModuleType):
    """Importing a sub-package binds its name here; a verb is made callable at that moment."""

    def __setattr__(self, name: str, value: "Any") -> None:
        if name in _VERBS and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


modules[__name__].__class__ = _Package
