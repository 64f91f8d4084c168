"""Deltas of translators fitted to a class: only the tensors that moved, and the class's code, pinned to the base."""

import copy
from typing import TYPE_CHECKING, TypeVar

from lowshotgan.errors import DeltaError
from lowshotgan.hub.store import load_strict, read_delta, write_delta
from lowshotgan.types import PathLike

if TYPE_CHECKING:
    from lowshotgan.systems.translation import Translator

KEPT = ("class_code", "class_fit", "class_delta")
"""Of a model's details what its delta carries."""
Model = TypeVar("Model", bound="Translator")


def save_class_delta(system: "Translator", path: PathLike) -> PathLike:
    """Write what fitting the model to a class moved; see ``ClassTranslator.save_delta``."""
    about = system.details.get("class_delta")
    if about is None:
        raise DeltaError(
            f'{system.arch} has no moved tensors to save: fine-tune it with steps and trains="adain", "class" or '
            '"decoder". A class code alone is saved by model.class_code.save(path).'
        )
    state = system.generator.state_dict()
    tensors = {name: state[name].cpu() for name in about["tensors"]}
    config = {"arch": system.arch, "details": {name: system.details[name] for name in KEPT if name in system.details}}
    return write_delta(path, tensors, base_digest=about["base_digest"], base=about["base"], config=config)


def apply_class_delta(system: Model, path: PathLike) -> Model:
    """A copy of the base ``system`` with a delta applied; see ``ClassTranslator.apply_delta``."""
    delta = read_delta(path, base_digest=system.digest)
    fitted = copy.deepcopy(system)
    load_strict(fitted.generator, {**fitted.generator.state_dict(), **delta.tensors}, what=str(path))
    fitted.details.update(delta.config["details"])
    return fitted
