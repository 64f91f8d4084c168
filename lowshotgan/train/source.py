"""Training a system from scratch on a large image set: resolve, run the loop, save the model."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lowshotgan.checks import parse_duration
from lowshotgan.data.dataset import ImageSet, load_images
from lowshotgan.errors import ConfigError
from lowshotgan.systems.base import System, make_config
from lowshotgan.systems.registry import ARCHS, system_class
from lowshotgan.train.log import standard_hooks
from lowshotgan.train.loop import FitResult, Hook, LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.run import RunFolder, identity
from lowshotgan.types import PathLike

SECTIONS = ("about", "model", "data", "train")


@dataclass(frozen=True)
class SourceRecipe:
    """What a TOML recipe says; see ``recipes/``.

    Attributes:
        model: ``arch`` and overrides of its constructor arguments.
        data: options of ``load_images`` besides the resolution.
        train: fields of the system's ``Training``.
        about: name of the weights it makes, licence, provenance; for the card.
    """

    model: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arch(self) -> str:
        return str(self.model["arch"])

    def build(self) -> System:
        """The untrained system."""
        return build_system(self.arch, {key: value for key, value in self.model.items() if key != "arch"})


@dataclass(frozen=True)
class TrainResult:
    """A finished or stopped training.

    Attributes:
        model: the system with the averaged generator.
        output_dir: the run folder; the model is in its ``model/``.
        fit: how the loop ended.
    """

    model: System
    output_dir: Path
    fit: FitResult


def read_recipe(path: PathLike) -> SourceRecipe:
    """Read a TOML recipe.

    Raises:
        ConfigError: if the file is missing, no TOML, or has unknown sections or no architecture.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"Recipe {path} cannot be read ({error.strerror}); give the path of a .toml file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"Recipe {path} is not valid TOML: {error}.") from error
    unknown = sorted(set(content) - set(SECTIONS))
    if unknown:
        raise ConfigError(f"Recipe {path}: unknown section {', '.join(unknown)}; it may have {', '.join(SECTIONS)}.")
    if content.get("model", {}).get("arch") not in ARCHS:
        raise ConfigError(f"Recipe {path}: [model] needs an arch, one of {', '.join(ARCHS)}.")
    return SourceRecipe(**content)


def build_system(arch: str, overrides: Mapping[str, Any]) -> System:
    """An untrained system of an architecture, with some constructor arguments changed."""
    system, arguments = ARCHS[arch]
    cls = system_class(system)
    return cls(make_config(cls, {**arguments, **overrides}), arch=arch)


def make_training(system: System, options: Mapping[str, Any]) -> Any:
    """The system's typed training settings; raises ``ConfigError`` for unknown or unusable ones."""
    training = getattr(system, "Training", None)
    if training is None:
        raise system.unsupported("train")
    unknown = sorted(set(options) - {field.name for field in fields(training)})
    if unknown:
        known = ", ".join(field.name for field in fields(training))
        raise ConfigError(f"{system.system}: unknown training setting {', '.join(unknown)}; known are {known}.")
    return training(**options)


def train_source(
    system: System,
    images: Any,
    *,
    output_dir: PathLike,
    training: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    settings: LoopSettings | None = None,
    device: str | None = None,
    hooks: Sequence[Hook] = (),
    progress: bool = True,
    tensorboard: bool = False,
    dry_run: bool = False,
) -> TrainResult | dict[str, Any]:
    """Train ``system`` on ``images``; see ``api.train``."""
    run = RunFolder(output_dir)
    settings = settings or LoopSettings()
    machine = Machine(device)
    options = make_training(system, training or {})
    image_set = load_images(images, resolution=system.config.resolution, **(data or {}))
    config = resolved_config(system, image_set, options, settings)
    if dry_run:
        return config
    system.to(machine.device)
    if machine.is_main:
        run.begin(config)
    stages = system.stages(image_set, options, seed=settings.seed, rank=machine.rank, world_size=machine.world_size)
    standard = standard_hooks(run.path, budget=settings.budget, progress=progress, tensorboard=tensorboard)
    unlimited = {key: value for key, value in config.items() if key not in ("budget", "steps")}
    result = fit(
        stages,
        output_dir=run.path,
        machine=machine,
        settings=replace(settings, identity=identity(unlimited)),
        hooks=[*standard, *hooks],
    )
    system.eval()
    system.details["training"] = {
        "steps": result.steps,
        "batch_size": options.batch_size,
        "seconds": round(result.seconds),
        "images": len(image_set),
        "device": machine.device.type,
    }
    if machine.is_main:
        system.save_pretrained(run.model)
    machine.wait()
    return TrainResult(system, run.path, result)


def resolved_config(system: System, images: ImageSet, training: Any, settings: LoopSettings) -> dict[str, Any]:
    """Everything the run depends on, as plain values. ``steps`` and ``budget`` may change between resumptions."""
    schedule = asdict(training)
    return {
        "model": system.describe(),
        "data": {"count": len(images), "digest": images.digest, "preprocess": images.preprocess.to_dict()},
        "steps": schedule.pop("steps", None),
        "train": schedule,
        "seed": settings.seed,
        "precision": settings.precision,
        "accumulate": settings.accumulate,
        "budget": settings.budget,
    }


def budget_seconds(budget: str | float | None) -> float | None:
    """Seconds of a budget such as ``"9m"``."""
    return parse_duration(budget)
