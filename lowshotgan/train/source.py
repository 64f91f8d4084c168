"""Training a system by its own stages, from scratch or to K examples: resolve, run the loop, save the model."""

import copy
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lowshotgan.checks import check_types, known_options, with_preset
from lowshotgan.data.dataset import ImageSet
from lowshotgan.errors import ConfigError
from lowshotgan.hub.remote import resolve_model
from lowshotgan.messages import tell
from lowshotgan.systems.base import System, load_system
from lowshotgan.systems.registry import ARCHS, system_class
from lowshotgan.train.log import Prediction, standard_hooks, tell_stop
from lowshotgan.train.loop import FitResult, Hook, LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.run import RunFolder
from lowshotgan.types import PathLike, Stages, TrainingData

SECTIONS = ("about", "model", "data", "train")


@dataclass(frozen=True)
class SourceRecipe:
    """What a TOML recipe says; see ``recipes/``.

    Attributes:
        model: ``arch`` and overrides of its constructor arguments; or ``arch`` and ``weights``, the published weights or
            model folder that the training starts from.
        data: options of the system's ``read_data``.
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
        """The untrained system, or the one that the training starts from.

        Raises:
            ConfigError: if ``weights`` are of another architecture, or come with constructor arguments.
        """
        changes = {key: value for key, value in self.model.items() if key not in ("arch", "weights")}
        if "weights" in self.model:
            return _start(str(self.model["weights"]), self.arch, changes)
        return build_system(self.arch, changes)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A finished or stopped training.

    Attributes:
        model: the system with the averaged generator.
        output_dir: the run folder; the model is in its ``model/``.
        fit: how the loop ended.
        report_path: the ``report.html``, if one was written.
    """

    model: System
    output_dir: Path
    fit: FitResult
    report_path: Path | None = None

    @property
    def steps(self) -> int:
        """Steps done."""
        return self.fit.steps

    @property
    def seconds(self) -> float:
        """Training time over all resumptions."""
        return self.fit.seconds

    @property
    def stopped(self) -> str:
        """ "finished" or "budget"."""
        return self.fit.stopped


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
    plain = sorted(name for name, value in content.items() if not isinstance(value, dict))
    if plain:
        raise ConfigError(f"Recipe {path}: {plain[0]} must be a section, [{plain[0]}] with its settings below it.")
    if content.get("model", {}).get("arch") not in ARCHS:
        raise ConfigError(f"Recipe {path}: [model] needs an arch, one of {', '.join(ARCHS)}.")
    return SourceRecipe(**content)


def build_system(arch: str, overrides: Mapping[str, Any]) -> System:
    """An untrained system of an architecture, with some constructor arguments changed."""
    system, arguments = ARCHS[arch]
    return system_class(system).build({**arguments, **overrides}, arch=arch)


def _start(weights: str, arch: str, changes: Mapping[str, Any]) -> System:
    """The system of weights that a training starts from."""
    if changes:
        raise ConfigError(
            f"[model] weights={weights!r} fixes the architecture; leave out {', '.join(sorted(changes))}."
        )
    files = resolve_model(weights, discriminator=True)
    system: System = load_system(files, name=weights)
    if system.arch != arch:
        raise ConfigError(f"[model] weights={weights!r} is a {system.arch}, but arch is {arch!r}; name its own.")
    return system


def train_source(
    system: System,
    data: Any,
    *,
    output_dir: PathLike,
    training: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
    settings: LoopSettings | None = None,
    **options: Any,
) -> TrainResult | dict[str, Any]:
    """Train ``system`` on ``data``, read with the options ``reading``; see ``api.train``."""
    schedule = _make_settings(system, system.Training, "train", training or {})
    known_options(f"data of {system.system}", reading or {}, system.data_options)
    found = system.read_data(data, **(reading or {}))
    return _run(system, system.stages, found, schedule, output_dir, settings or LoopSettings(), "training", **options)


def finetune_source(
    system: System,
    shots: Any,
    *,
    output_dir: PathLike,
    training: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
    settings: LoopSettings | None = None,
    **options: Any,
) -> TrainResult | dict[str, Any]:
    """Fine-tune a copy of ``system`` to ``shots`` by the stages it describes itself; see ``api.finetune``."""
    system = copy.deepcopy(system)
    given = dict(training or {})
    asked = {name: given.pop(name) for name in system.reading_options(given)}
    schedule = _make_settings(system, system.FineTuning, "finetune", given)
    found = system.read_shots(shots, **(reading or {}), **asked)
    system.check_finetuning(found, schedule)
    stages = system.finetune_stages
    return _run(system, stages, found, schedule, output_dir, settings or LoopSettings(), "finetuning", **options)


def _run(
    system: System,
    describe: Callable[..., Stages],
    data: TrainingData,
    training: Any,
    output_dir: PathLike,
    settings: LoopSettings,
    kind: str,
    *,
    device: str | None = None,
    hooks: Sequence[Hook] = (),
    progress: bool = True,
    tensorboard: bool = False,
    dry_run: bool = False,
) -> TrainResult | dict[str, Any]:
    run, machine = RunFolder(output_dir), Machine(device)
    config = resolved_config(system, data, training, settings)
    if dry_run:
        return config
    before = copy.deepcopy(system.details)
    identity = {key: value for key, value in config.items() if key not in ("budget", "steps")}
    identity["model"] = system.describe(as_before_training=kind == "training")
    system.to(machine.device)
    stages = describe(data, training, seed=settings.seed, rank=machine.rank, world_size=machine.world_size)
    if isinstance(data, ImageSet) and machine.is_main:
        tell(data.report.summary())
    standard = standard_hooks(run.path, budget=settings.budget, progress=progress, tensorboard=tensorboard)
    standard += [Prediction(machine.device)] if progress else []
    result = fit(
        stages,
        output_dir=run.path,
        machine=machine,
        settings=replace(settings, config=identity),
        hooks=[*standard, *hooks],
        begin=lambda: run.begin(config),
    )
    if machine.is_main:
        tell_stop(result, budget=settings.budget, folder=run.path)
    system.eval()
    system.details[kind] = {
        "steps": result.steps,
        "batch_size": training.batch_size,
        "seconds": round(result.seconds),
        "images": len(data),
        "device": machine.device.type,
    }
    system.note_changes(before)
    if machine.is_main:
        system.save_pretrained(run.model)
    machine.wait()
    return TrainResult(model=system, output_dir=run.path, fit=result)


def _make_settings(system: System, kind: type[Any] | None, verb: str, options: Mapping[str, Any]) -> Any:
    if kind is None:
        raise system.unsupported(verb)
    options = with_preset(kind, options)
    known = [field.name for field in fields(kind)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigError(
            f"{system.system}: unknown {verb} setting {', '.join(unknown)}; known are {', '.join(known)}."
        )
    check_types(kind, options)
    return kind(**options)


def resolved_config(system: System, data: TrainingData, training: Any, settings: LoopSettings) -> dict[str, Any]:
    """Everything the run depends on, as plain values. ``steps`` and ``budget`` may change between resumptions."""
    schedule = asdict(training)
    return {
        "model": system.describe(),
        "data": data.describe(),
        "steps": schedule.pop("steps", None),
        "train": schedule,
        "seed": settings.seed,
        "precision": settings.precision,
        "accumulate": settings.accumulate,
        "budget": settings.budget,
    }
