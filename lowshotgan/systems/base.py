"""What every system is: networks, a typed configuration, stages of training and ``generate()``."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from PIL import Image
from torch import nn

from lowshotgan.checks import check_types, with_preset
from lowshotgan.data.batches import ImageBatches
from lowshotgan.data.dataset import IMAGE_OPTIONS, ImageSet, load_images
from lowshotgan.errors import ConfigError, UnsupportedVerbError, WeightsFormatError
from lowshotgan.hub.finetuned import fact_files
from lowshotgan.hub.push import PREVIEW, push_folder
from lowshotgan.hub.remote import ModelFiles, resolve_model
from lowshotgan.hub.store import (
    OTHER_ARGUMENTS,
    load_strict,
    read_config,
    read_tensors,
    state_digest,
    write_model_folder,
)
from lowshotgan.metrics.scores import MetricReport
from lowshotgan.nets.widening import widened
from lowshotgan.systems.generation import Generation
from lowshotgan.systems.registry import SYSTEMS, VERBS, system_class
from lowshotgan.types import PathLike, Stages, TrainingData

DRAWING = frozenset({"generate", "interpolate", "translate", "encode_exemplars", "encode_each", "redraw", "project"})
DRAWING |= {"recolor", "transfer", "synchrony", "evaluate", "forward"}
"""Methods that run the networks on float32 inputs, and so also with weights of another type."""


class System(nn.Module):
    """Base of all systems; ``create_model`` returns one.

    A subclass names its ``system`` (the key in the registry), its frozen ``Config`` dataclass and its ``generator`` and
    ``discriminator``; the first is saved as ``model.safetensors``, the second as ``discriminator.safetensors``. If it can
    be trained it names its ``Training`` settings and describes ``stages``; if it is fine-tuned by stages of its own
    instead of a recipe, also its ``FineTuning`` settings and ``finetune_stages``. Both kinds of settings are frozen
    dataclasses with at least ``steps`` and ``batch_size``; they and ``Config`` may name sets of values in ``PRESETS``,
    of which one is chosen by ``preset="name"``.

    Args:
        config: constructor arguments of the networks.
        arch: architecture name the configuration came from.
    """

    system: ClassVar[str]
    Config: ClassVar[type[Any]]
    Training: ClassVar[type[Any] | None] = None
    FineTuning: ClassVar[type[Any] | None] = None
    own_evaluation: ClassVar[bool] = False
    generator: nn.Module
    discriminator: nn.Module | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in DRAWING & vars(cls).keys():
            setattr(cls, name, _in_any_type(vars(cls)[name]))

    def __init__(self, config: Any, *, arch: str) -> None:
        super().__init__()
        self.config = config
        self.arch = arch
        self.source_name: str | None = None
        self.details: dict[str, Any] = {}
        self._replaced: dict[str, Any] = {}

    @classmethod
    def build(cls, arguments: Mapping[str, Any], *, arch: str) -> Self:
        """An untrained system from constructor arguments by name.

        A system whose arguments are more than plain values (a table of knowledge, modalities) overrides it.
        """
        return cls(make_config(cls, arguments), arch=arch)

    def forward(self, *args: Any, **inputs: Any) -> Any:
        """What ``model(latents)`` means; only systems that draw from latents alone answer it, the others ``generate()``."""
        raise UnsupportedVerbError(
            f"{self.system} does not draw from latents alone; call model.generate(...), or a network in model.generator."
        )

    def generate(self, *args: Any, **options: Any) -> Generation:
        """Make images; each system documents what it takes. Raises ``UnsupportedVerbError`` where it is not answered."""
        raise self.unsupported("generate")

    def interpolate(self, *args: Any, **options: Any) -> Generation:
        """Images between seeds; only systems that list the verb ``interpolate`` answer it."""
        raise self.unsupported("interpolate")

    def translate(self, *args: Any, **options: Any) -> Generation:
        """Content redrawn in the manner of exemplars; only systems that list the verb ``translate`` answer it."""
        raise self.unsupported("translate")

    def encode_exemplars(self, *args: Any, **options: Any) -> Any:
        """The code of a class from its images; only systems that list the verb ``translate`` have one."""
        raise self.unsupported("translate")

    def project(self, *args: Any, **options: Any) -> Any:
        """The latent that draws a given image; only systems that list the verb ``project`` answer it."""
        raise self.unsupported("project")

    def recolor(self, *args: Any, **options: Any) -> Generation:
        """Images with a region in another colour; only systems that list the verb ``recolor`` answer it."""
        raise self.unsupported("recolor")

    def transfer(self, *args: Any, **options: Any) -> Generation:
        """Items of one modality in another; only systems that list the verb ``transfer`` answer it."""
        raise self.unsupported("transfer")

    def evaluate(self, reference: Any, **options: Any) -> MetricReport:
        """Scores by a protocol of the system's own; only systems with ``own_evaluation`` have one, of others samples are
        compared with the reference."""
        able = ", ".join(sorted(name for name in SYSTEMS if system_class(name).own_evaluation))
        raise UnsupportedVerbError(
            f"{self.system} has no evaluate() of its own, as have {able}; score its samples with "
            "lowshotgan.evaluate(model, reference)."
        )

    def read_data(self, data: Any, **options: Any) -> TrainingData:
        """What ``stages`` takes, from what a user gives; a set of images unless the system says otherwise."""
        return load_images(data, resolution=self.config.resolution, **options)

    @property
    def data_options(self) -> frozenset[str]:
        """Names of the options ``read_data`` takes."""
        return IMAGE_OPTIONS

    def stages(self, *args: Any, **options: Any) -> Stages:
        """Describe the training of the system from its data, on which ``read_data`` was called."""
        raise self.unsupported("train")

    def read_shots(self, shots: Any, **options: Any) -> TrainingData:
        """What ``finetune_stages`` takes, from the K examples a user gives; read like training data by default."""
        return self.read_data(shots, **options)

    def reading_options(self, settings: Mapping[str, Any]) -> frozenset[str]:
        """Names among the settings of a fine-tuning that ``read_shots`` takes; none unless the system says otherwise."""
        return frozenset()

    def check_finetuning(self, shots: Any, training: Any) -> None:
        """Refuse what the stages could not run, before anything is built; nothing unless the system says otherwise."""
        return

    def finetune_stages(self, *args: Any, **options: Any) -> Stages:
        """Describe the fine-tuning of the system to K examples."""
        raise self.unsupported("finetune")

    def batches(self, images: ImageSet, training: Any, *, seed: int, rank: int, world_size: int) -> ImageBatches:
        """This process's endless share of ``images``, by the ``batch_size`` and ``flip`` of ``training``."""
        return ImageBatches(
            images,
            training.batch_size,
            flip=training.flip,
            seed=seed,
            rank=rank,
            world_size=world_size,
            device=self.device,
        )

    def unsupported(self, verb: str) -> UnsupportedVerbError:
        """The error for a verb this system does not answer."""
        able = ", ".join(sorted(name for name, verbs in VERBS.items() if verb in verbs)) or "none"
        return UnsupportedVerbError(f"{self.system} has no {verb}(). Systems that do: {able}.")

    def refuse(self, verb: str, unknown: Mapping[str, Any]) -> None:
        """Raise ``ConfigError`` if there are options that ``verb`` does not know."""
        if unknown:
            raise ConfigError(f"{self.arch}: {verb}() takes no {', '.join(sorted(unknown))}; leave it out.")

    @property
    def device(self) -> torch.device:
        """Where the generator's parameters are."""
        return next(self.generator.parameters()).device

    def need_float32(self) -> None:
        """Raise ``ConfigError`` unless the weights are float32, which training needs."""
        other = sorted({str(one.dtype) for one in self.parameters() if one.dtype != torch.float32})
        if other:
            raise ConfigError(
                f"training needs float32 weights, got {other[0]}; load the model without dtype, and choose "
                'precision="bf16" for speed.'
            )

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As ``nn.Module.load_state_dict``.

        Raises:
            WeightsFormatError: if the tensors are of a model with other constructor arguments.
        """
        try:
            return super().load_state_dict(state, strict=strict, assign=assign)
        except RuntimeError as error:
            raise WeightsFormatError(f"{error}\n{self.arch}: {OTHER_ARGUMENTS}") from error

    @property
    def digest(self) -> str:
        """SHA-256 of the generator's tensors in float32; deltas are pinned to it."""
        return state_digest(self.generator.state_dict())

    def describe(self, *, as_before_training: bool = False) -> dict[str, Any]:
        """The content of ``config.json``: architecture, constructor arguments and where the weights came from.

        With ``as_before_training``, without what trainings of this object noted in its ``details``: so it can be passed
        again to continue them.
        """
        about = {"arch": self.arch, "system": self.system, "config": asdict(self.config)}
        replaced = self._replaced if as_before_training else {}
        new = {key for key, value in replaced.items() if value is None}
        details = {key: value for key, value in (self.details | replaced).items() if key not in new}
        return about | ({"details": details} if details else {})

    def note_changes(self, before: Mapping[str, Any]) -> None:
        """Remember which of the ``details`` a training has changed, and what they were ``before`` it."""
        changed = {key: before.get(key) for key, value in self.details.items() if before.get(key) != value}
        self._replaced = changed | self._replaced

    def save_pretrained(
        self, folder: PathLike, *, discriminator: bool = True, extra_files: Mapping[str, Any] | None = None
    ) -> Path:
        """Write ``config.json``, ``model.safetensors`` and, if there is one, ``discriminator.safetensors``.

        A model that a recipe adapted also writes how (``training_args.json``) and what was measured (``metrics.json``).

        Args:
            folder: made if needed.
            discriminator: whether to save the discriminator, which fine-tuning the model needs.
            extra_files: further files by name: text, bytes, or a path to copy.

        Raises:
            WeightsFormatError: if a weight is NaN or infinite.
        """
        judge = self.discriminator.state_dict() if discriminator and self.discriminator is not None else None
        files = {**fact_files(self.details), **(extra_files or {})}
        return write_model_folder(
            folder, self.describe(), self.generator.state_dict(), discriminator=judge, extra_files=files
        )

    def card_picture(self) -> Image.Image | None:
        """The images of seeds 0 to 15 in one picture, for a card; ``None`` if the model draws from more than seeds."""
        takes_seeds = "seeds" in signature(self.generate).parameters
        return self.generate(seeds=range(16)).grid() if takes_seeds else None

    @classmethod
    def from_pretrained(cls, name: PathLike, *, revision: str | None = None, local_files_only: bool = False) -> Self:
        """Load a model folder, published weights (``arch.tag``) or a hub repository (``owner/name``), strictly.

        Args:
            name: where the model is.
            revision: branch, tag or commit of a hub repository.
            local_files_only: never ask the network.

        Raises:
            WeightsNotFoundError: with the places searched and the command that repairs it.
            WeightsFormatError: if a file is damaged, or its tensors are not exactly the model's.
            ConfigError: if the configuration is of another system.
        """
        files = resolve_model(
            name, discriminator=True, revision=revision, local_files_only=local_files_only, bare=True
        )
        found: Self = load_system(files, cls, name=files.name)
        return found

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the model to ``owner/name`` on the Hugging Face hub in one commit and return its URL.

        Options are those of ``hub.push.push_folder``: ``private``, ``create_pr``, ``revision``, ``token``,
        ``commit_message``, ``license``. The card shows seeds 0 to 15, where the model draws from seeds alone, and what is
        known of the training. An existing README is kept.
        """
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            if (picture := self.card_picture()) is not None:
                picture.save(Path(folder) / PREVIEW)
            return push_folder(folder, repo_id, **options)


def _in_any_type(method: Callable[..., Any]) -> Callable[..., Any]:
    """``method`` of a system, run so that its weights may have any floating type."""

    @wraps(method)
    def run(self: System, *args: Any, **options: Any) -> Any:
        with widened(self):
            return method(self, *args, **options)

    return run


def load_system(files: ModelFiles, cls: type[System] | None = None, *, name: str) -> Any:
    """Build the system a ``config.json`` describes and load its tensors strictly.

    Args:
        files: local paths of the model's files.
        cls: class the model must be of, or ``None``/``System`` for any.
        name: for error messages and as ``source_name`` of the result.
    """
    about = read_config(files.config)
    found = system_class(about["system"])
    if cls is not None and not issubclass(found, cls):
        raise ConfigError(f"{name} is a {about['system']} model; load it with create_model() or {found.__name__}.")
    model = found(make_config(found, about["config"], where=str(files.config)), arch=about["arch"])
    load_strict(model.generator, read_tensors(files.model), what=f"{name}: {files.model.name}")
    if files.discriminator is None:
        model.discriminator = None
    elif model.discriminator is not None:
        load_strict(model.discriminator, read_tensors(files.discriminator), what=f"{name}: {files.discriminator.name}")
    model.source_name = name
    model.details = dict(about.get("details", {}))
    return model.eval()


def make_config(cls: type[System], arguments: Mapping[str, Any], *, where: str | None = None) -> Any:
    """The typed configuration of a system from plain values.

    Raises:
        WeightsFormatError: if ``where`` (a file) holds unknown or unusable arguments.
        ConfigError: if a caller gave them.
    """
    arguments = with_preset(cls.Config, arguments)
    known = {field.name for field in fields(cls.Config)}
    unknown = sorted(set(arguments) - known)
    error = WeightsFormatError if where else ConfigError
    if unknown:
        raise error(
            f"{where or cls.system}: unknown argument {', '.join(unknown)}; {cls.system} takes {', '.join(sorted(known))}."
        )
    try:
        check_types(cls.Config, arguments)
        return cls.Config(**arguments)
    except (TypeError, ConfigError) as problem:
        raise error(f"{where or cls.system}: {problem}") from problem
