"""The public functions of the library: a thin facade over the layers below."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lowshotgan.checks import did_you_mean, given, one_of, parse_duration, parse_seeds
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import to_uint8
from lowshotgan.data.inspect import ImageReport
from lowshotgan.data.inspect import inspect_images as inspect_images
from lowshotgan.errors import ConfigError
from lowshotgan.finetune.recipe import Recipe
from lowshotgan.finetune.recipes import list_recipes as list_recipes
from lowshotgan.hub.files import DISCRIMINATOR
from lowshotgan.hub.manifest import WeightsEntry, find_entries, get_entry
from lowshotgan.hub.remote import download as download
from lowshotgan.hub.remote import resolve_model
from lowshotgan.metrics.report import MetricReport, measure
from lowshotgan.nets.residual import as_rgb
from lowshotgan.nets.widening import weight_type
from lowshotgan.systems.base import System, load_system
from lowshotgan.systems.paired import PairedSystem
from lowshotgan.systems.paired_evaluation import evaluate_twins, read_held_out
from lowshotgan.systems.registry import ARCHS, VERBS
from lowshotgan.train.adaptation import AdaptOptions
from lowshotgan.train.doctor import doctor as doctor
from lowshotgan.train.finetuning import finetune_model
from lowshotgan.train.loading import load_any, snapshot_of
from lowshotgan.train.loop import Hook, LoopSettings
from lowshotgan.train.machine import check_device
from lowshotgan.train.run import is_run
from lowshotgan.train.source import TrainResult, build_system, read_recipe, train_source
from lowshotgan.types import PathLike

__all__ = [
    "ImageReport",
    "convert_checkpoint",
    "create_model",
    "doctor",
    "download",
    "evaluate",
    "finetune",
    "get_weights",
    "inspect_images",
    "list_models",
    "list_recipes",
    "list_weights",
    "load",
    "train",
]


def list_models(
    pattern: str = "*", *, pretrained: bool = False, verb: str | None = None, license: str | None = None
) -> list[str]:
    """Names of architectures, or of published weights.

    Args:
        pattern: shell-style, for example ``"stylegan2_*"``.
        pretrained: list ``arch.tag`` of published weights instead of architectures.
        verb: only models that answer it: generate, translate, recolor, transfer, interpolate, project, finetune,
            train.
        license: only weights under this SPDX licence, or "permissive"; implies ``pretrained``.

    Raises:
        ConfigError: for a verb that does not exist.
    """
    if verb is not None:
        one_of("verb", verb, frozenset().union(*VERBS.values()))
    if pretrained or license is not None:
        entries = [entry for entry in find_entries(pattern, license=license) if entry.system in VERBS]
        return [entry.name for entry in entries if verb is None or verb in VERBS[entry.system]]
    return [
        name
        for name, (system, _) in ARCHS.items()
        if fnmatch(name, pattern) and (verb is None or verb in VERBS[system])
    ]


def list_weights(model: str | None = None) -> list[str]:
    """Names of all published weights, the frozen feature network included, or of one architecture's."""
    return [entry.name for entry in find_entries("*" if model is None else f"{model}.*")]


def get_weights(name: str) -> WeightsEntry:
    """What is known of published weights: files, hashes, licences, data, measured quality.

    Raises:
        ConfigError: if there are none of that name; the message names the closest.
    """
    return get_entry(name)


def create_model(
    name: str,
    *,
    pretrained: bool = False,
    weights: str | None = None,
    device: str | None = None,
    dtype: Any = None,
    local_files_only: bool = False,
    revision: str | None = None,
    **config: Any,
) -> Any:
    """Build a model, with published weights or random ones.

    Published weights bring constructor arguments of their own, which need not be the defaults of their architecture (an
    untrained ``stylegan2_64`` has latents of 256 values, ``stylegan2_64.avatars_v1`` of 96), so tensors of the one may not
    fit the other; ``model.config`` tells both.

    Args:
        name: an architecture (``stylegan2_64``) or architecture and tag (``stylegan2_64.avatars_v1``).
        pretrained: load the weights ``name`` stands for.
        weights: "DEFAULT", a tag, or a full ``arch.tag``; implies ``pretrained``.
        device: where to put the model: "cpu", "cuda", "cuda:1", "mps" or "auto"; the CPU by default.
        dtype: of the stored weights: float32 (the default), float16, bfloat16 or float64, as ``torch.bfloat16`` or text.
            Half types halve the memory of the weights; images are still computed in float32 or wider. Training needs
            float32.
        local_files_only: never ask the network.
        revision: of a hub repository; published weights are pinned and take none.
        config: constructor arguments to change, for models with random weights.

    Returns:
        A ``System``; its class answers ``generate()`` and the verbs ``list_models(verb=...)`` tells.

    Raises:
        ConfigError: for an unknown name, ``config`` together with weights, another ``dtype``, or a device that is not there.
        WeightsNotFoundError: if weights are asked for and found nowhere.
    """
    arch, _, tag = name.partition(".")
    _known_arch(arch)
    dtype = weight_type(dtype)
    if not (pretrained or weights):
        if tag:
            raise ConfigError(f"{name} names weights; pass pretrained=True to load them, or ask for {arch!r} alone.")
        return _placed(build_system(arch, config), device, dtype)
    if config:
        raise ConfigError(f"weights fix the architecture; leave out {', '.join(sorted(config))} or pretrained=True.")
    full = _weights_name(arch, tag, weights)
    files = resolve_model(full, discriminator=True, local_files_only=local_files_only, revision=revision)
    return _placed(load_system(files, name=files.name), device, dtype)


def load(
    name: PathLike,
    *,
    at: int | None = None,
    device: str | None = None,
    local_files_only: bool = False,
    revision: str | None = None,
) -> Any:
    """Load any model: published weights, a run folder, a model folder, a delta, or a repository on the hub.

    Args:
        name: an architecture (its default weights), ``arch.tag``, an existing folder or delta file, or
            ``hf-hub:owner/name`` with or without ``@revision``. Only what is spelled so, or published, asks the network.
        at: of a run folder of ``finetune``: the step of another snapshot that it keeps than the chosen one.
        device: as for ``create_model``.
        local_files_only: never ask the network.
        revision: of a hub repository.

    Raises:
        WeightsNotFoundError: with the places searched and the command that repairs it.
        WeightsFormatError: if a file is damaged or does not match its configuration.
        DeltaError: if a delta does not belong to its base.
        ConfigError: for a text that is no such name, a step without a snapshot, or a device that is not there.
    """
    if at is not None:
        name = snapshot_of(name, at)
    return _placed(load_any(name, local_files_only=local_files_only, revision=revision), device, None)


def finetune(
    model: Any,
    images: Any = None,
    *,
    pairs: Any = None,
    output_dir: PathLike,
    recipe: str | Recipe = "auto",
    steps: int | None = None,
    budget: str | float | None = None,
    batch_size: int | None = None,
    precision: str = "auto",
    resume: str = "auto",
    seed: int = 0,
    k: int | None = None,
    flip: bool | None = None,
    fit: str = "crop",
    background: tuple[int, int, int] = (255, 255, 255),
    proximity: str | None = None,
    extractor: str = "auto",
    accumulate: int = 1,
    device: str | None = None,
    callbacks: Sequence[Hook] = (),
    progress: bool = True,
    tensorboard: bool = False,
    dry_run: bool = False,
    **overrides: Any,
) -> Any:
    """Adapt a pretrained model to K images, or to K pairs.

    A StyleGAN2 generator is adapted by a recipe; systems that describe their own fine-tuning take ``overrides`` as its
    settings (``FineTuning`` of their class), and neither ``recipe``, ``proximity`` nor ``extractor``. The recipe
    ``fastgan`` takes nothing from the model but its resolution: it trains a FastGAN on the images from scratch, and
    ``overrides`` are settings of that training.

    Args:
        model: a system (StyleGAN2 needs its discriminator), or anything ``load`` takes.
        images: folder, zip, list of paths or PIL images, torch Dataset, HF dataset; of category systems sub-folders or a
            mapping from category to images.
        pairs: instead of ``images``, for systems that learn from pairs.
        output_dir: the run folder; model, log, previews, checkpoints and report go there.
        recipe: "auto", another name of ``list_recipes()``, or a ``Recipe``.
        steps: instead of the recipe's.
        budget: wall-clock limit of the training, such as "9m"; the run may end earlier, with its steps.
        batch_size: images per step over all processes, instead of the recipe's.
        precision: "auto" (measured on this machine), "fp32" or "bf16".
        resume: "auto" continues a run found in ``output_dir``, "never" starts again, "must" insists on one.
        seed: of everything random.
        k: use this many of the images, drawn by ``seed``; the draw is recorded.
        flip: mirror the images at random; off for text and anything single-sided.
        fit: "crop" or "pad" images that are not square.
        background: colour behind transparency and padding, three values from 0 to 255.
        proximity: "near" or "far", if you know better than the measurement.
        extractor: the feature network that judges snapshots.
        accumulate: micro-batches per step.
        device: "cpu", "cuda", "cuda:1", "mps"; the fastest present by default.
        callbacks: called with a ``Moment`` after each step.
        progress: tell what is done and show a progress bar.
        tensorboard: also write TensorBoard files (extra ``tracking``).
        dry_run: return the resolved configuration (a dict) and write nothing.
        overrides: settings of the recipe, such as ``lr=0.01`` or ``regularizers__weight=50``.

    Returns:
        A ``TrainResult`` with ``model``, ``output_dir``, ``steps``, ``stopped``, ``seconds`` and ``report_path``; from
        a recipe that adapts the model a ``FinetuneResult``, which has the report and more. For a dry run the configuration.

    Raises:
        ImageInputError: for unreadable or missing images, before anything is written.
        RecipeError: if recipe, model and images do not fit together.
        ConfigError: for an unusable option or output folder.
        CheckpointError: if ``output_dir`` holds a run with other settings.
        KeyboardInterrupt: after Ctrl-C, when the checkpoint is written.
    """
    base = model if isinstance(model, System) else load(model)
    base.need_float32()
    result = finetune_model(
        base,
        images,
        pairs,
        output_dir=output_dir,
        options=AdaptOptions(
            recipe=recipe,
            steps=steps,
            batch_size=batch_size,
            k=k,
            flip=flip,
            fit=fit,
            background=background,
            proximity=proximity,
            extractor=extractor,
            overrides=overrides,
        ),
        settings=_settings(seed, precision, resume, budget, accumulate),
        device=device,
        hooks=callbacks,
        progress=progress,
        tensorboard=tensorboard,
        dry_run=dry_run,
    )
    return _uninterrupted(result)


def train(
    system: Any = None,
    data: Any = None,
    *,
    output_dir: PathLike,
    recipe_file: PathLike | None = None,
    budget: str | float | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    precision: str = "auto",
    resume: str = "auto",
    seed: int = 0,
    accumulate: int = 1,
    device: str | None = None,
    callbacks: Sequence[Hook] = (),
    progress: bool = True,
    tensorboard: bool = False,
    dry_run: bool = False,
    **settings: Any,
) -> Any:
    """Train a model from scratch on many images.

    Args:
        system: an architecture name, or a system; may be left out if the recipe names one.
        data: what the system's ``read_data`` takes; images as for ``finetune`` unless it says otherwise.
        output_dir: the run folder.
        recipe_file: TOML with ``[model]``, ``[data]`` and ``[train]``; arguments here win over it.
        budget: wall-clock limit over all resumptions, such as "90m".
        steps: training steps.
        batch_size: images per step over all processes.
        precision: as in ``finetune``; so are ``resume``, ``seed``, ``accumulate``, ``device``, ``callbacks``,
            ``progress``, ``tensorboard`` and ``dry_run``.
        settings: fields of the system's training settings.

    Returns:
        A ``TrainResult``, or the configuration for a dry run.

    Raises:
        ConfigError: for an unknown architecture or setting, or without data.
        ImageInputError: for unreadable or missing images.
        KeyboardInterrupt: after Ctrl-C, when the checkpoint is written.
    """
    import torch

    recipe = read_recipe(recipe_file) if recipe_file is not None else None
    if data is None:
        raise ConfigError("train needs images: pass data=, or --data on the command line.")
    if system is None and recipe is None:
        raise ConfigError("train needs an architecture (for example 'stylegan2_64') or a recipe file.")
    torch.manual_seed(seed)
    if isinstance(system, str):
        _known_arch(system)
        system = build_system(system, {})
    model: Any = system if system is not None or recipe is None else recipe.build()
    model.need_float32()
    training = {**(recipe.train if recipe else {}), **settings}
    training |= given(steps=steps, batch_size=batch_size)
    result = train_source(
        model,
        data,
        output_dir=output_dir,
        training=training,
        reading=recipe.data if recipe else {},
        settings=_settings(seed, precision, resume, budget, accumulate),
        device=device,
        hooks=callbacks,
        progress=progress,
        tensorboard=tensorboard,
        dry_run=dry_run,
    )
    return _uninterrupted(result)


def _uninterrupted(result: Any) -> Any:
    """The result of a training, unless it was stopped by Ctrl-C, which goes on to the caller."""
    if isinstance(result, TrainResult) and result.fit.stopped == "interrupted":
        raise KeyboardInterrupt
    return result


def evaluate(
    model_or_images: Any,
    reference: Any,
    *,
    train: Any = None,
    metrics: Sequence[str] | None = None,
    extractor: str = "auto",
    n: int = 1000,
    seeds: Sequence[int] | str | None = None,
    truncation: float = 1.0,
    seed: int = 0,
    resolution: int | None = None,
    base: Any = None,
    shots: int | None = None,
    content: Any = None,
    fit: str | None = None,
    background: tuple[int, int, int] | None = None,
    device: str | None = None,
    **data: Any,
) -> MetricReport:
    """Score a model's samples, or a folder of generated images, against reference images.

    Translators are scored by their translations into the classes of the reference (see ``Translator.evaluate``). Models
    learnt from pairs may be given held-out pairs as the reference: then their twins are scored too.

    Args:
        model_or_images: a system, anything ``load`` takes, or images.
        reference: real images of the target; best ones the model was not trained on. For models learnt from pairs
            also pairs, as ``finetune`` takes them.
        train: the K training images (or pairs); gives memorisation and diversity.
        metrics: which; all that the images allow by default. "pairs" are those of twins.
        extractor: "auto" (the shipped ``lsg1``), "inception" with the user's file, ``rand-vgg11-s0`` ...
        n: samples drawn from a model.
        seeds: of the samples; 0 to n - 1 by default.
        truncation: of the samples.
        seed: of subsets and resamples.
        resolution: side to which images are brought; the model's, or 64 for images.
        base: the unadapted model, for consistency.
        shots: exemplars of one translation, for translators; 5 by default.
        content: images to translate, for translators; the reference's own by default.
        fit: "crop" or "pad", for reference and training images alike; what the model was fine-tuned with unless given,
            if it remembers that, else "crop".
        background: colour behind transparency and padding; like ``fit``, else white.
        device: where models that are loaded here draw, and where the extractor runs; the device of the model unless given.
        data: further options of ``load_images`` for the reference (``include`` ...).

    Returns:
        A ``MetricReport``; ``print(report)`` shows a table, ``report.to_dict()`` plain values.

    Raises:
        ConfigError: for an unknown metric or extractor.
        ImageInputError: for unreadable images.
    """
    model = _as_model(model_or_images, device)
    reading = given(fit=fit, background=background)
    translating = given(shots=shots, content=content)
    if model is not None and model.own_evaluation:
        _refuse(model.system, train=train, metrics=metrics, base=base, seeds=seeds, resolution=resolution)
        report: MetricReport = model.evaluate(
            reference, n=n, seed=seed, extractor=extractor, **translating, **reading, **data
        )
        return report
    reading = _preprocessing(model) | reading | ({"enlarge": data.pop("enlarge")} if "enlarge" in data else {})
    _refuse("no translator", **translating)
    side = resolution or (model.config.resolution if model is not None else 64)
    used = parse_seeds(seeds, None if seeds is not None else n)
    options = {"truncation": truncation} if truncation != 1.0 else {}
    held_out = read_held_out(model, reference, **reading, **data) if isinstance(model, PairedSystem) else None
    if held_out is not None:
        _refuse("pairs are compared at the model's size with its own source", base=base, resolution=resolution)
        shared: dict[str, Any] = {"train": train, "metrics": metrics, "extractor": extractor, "seed": seed}
        return evaluate_twins(model, held_out, used, truncation=truncation, **shared)
    if model is not None:
        fake = to_uint8(as_rgb(model.generate(seeds=used, **options).tensor))
    else:
        fake = load_images(model_or_images, resolution=side).uint8()
    source = _as_model(base, device)
    return measure(
        fake,
        load_images(reference, resolution=side, **reading, **data).uint8(),
        train=None if train is None else load_images(train, resolution=side, **reading).uint8(),
        source=None if source is None else to_uint8(as_rgb(source.generate(seeds=used, **options).tensor)),
        metrics=metrics,
        extractor=extractor,
        seed=seed,
        device=check_device(device) if device is not None else "cpu" if model is None else model.device,
    )


def _preprocessing(model: Any) -> dict[str, Any]:
    """How the images a model was fine-tuned to were made square, as far as it remembers."""
    known = {} if model is None else model.details.get("finetuning", {}).get("preprocessing", {})
    return {key: known[key] for key in ("fit", "background", "enlarge") if key in known}


def convert_checkpoint(
    source: PathLike,
    output_dir: PathLike,
    *,
    format: str = "auto",
    discriminator: PathLike | None = None,
    which: str | None = None,
    resolution: int | None = None,
    overwrite: bool = False,
) -> System:
    """Turn a checkpoint of another project into a model folder; nothing stored in the file is run.

    Args:
        source: the downloaded file: a generator of NVlabs/FUNIT, or COCO-FUNIT of NVlabs/imaginaire.
        output_dir: the model folder to write.
        format: "funit", "coco_funit", or "auto" to tell from the tensors' names.
        discriminator: FUNIT's discriminator, which is a file of its own; without it training on makes a new one.
        which: of FUNIT's file, "gen_test" (the average) or "gen".
        resolution: side of the images the model was trained on; the paper's unless given.
        overwrite: replace the model that ``output_dir`` holds.

    Returns:
        The model, loaded strictly; source, licence and hash of the file are in its ``details``.

    Raises:
        ConfigError: if ``output_dir`` holds anything and is not to be overwritten, or an option does not fit the file.
        WeightsFormatError: if a file is unsafe, damaged, incomplete or of another format; nothing is written then.
    """
    from lowshotgan.systems.conversion import convert_file

    if not overwrite:
        _check_unused(Path(output_dir))
    model = convert_file(source, format=format, discriminator=discriminator, which=which, resolution=resolution)
    (Path(output_dir) / DISCRIMINATOR).unlink(missing_ok=True)  # that of the model replaced
    model.save_pretrained(output_dir)
    return model


def _check_unused(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(
            f"{folder} exists already; choose another place for the model, or pass overwrite=True (--overwrite)."
        )


def _known_arch(name: str) -> None:
    """Raise ``ConfigError`` for a name that no architecture has; there are too many to print."""
    if name not in ARCHS:
        hint = did_you_mean(name, ARCHS, n=3)
        raise ConfigError(f"there is no model {name!r}.{hint} list_models() and `lowshotgan list` name all.")


def _refuse(what: str, **options: Any) -> None:
    """Complain about options of ``evaluate`` that say nothing about this kind of model."""
    refused = sorted(given(**options))
    if refused:
        raise ConfigError(f"evaluate takes no {', '.join(refused)} here: the model is {what}; leave it out.")


def _settings(seed: int, precision: str, resume: str, budget: str | float | None, accumulate: int) -> LoopSettings:
    return LoopSettings(
        seed=seed, precision=precision, resume=resume, budget=parse_duration(budget), accumulate=accumulate
    )


def _placed(system: Any, device: str | None, dtype: Any) -> Any:
    return system.eval().to(device=None if device is None else check_device(device), dtype=dtype)


def _weights_name(arch: str, tag: str, weights: str | None) -> str:
    """``arch.tag`` (or ``arch`` for its default) from what the caller wrote."""
    if weights is None or weights == "DEFAULT":
        return f"{arch}.{tag}" if tag else arch
    full = weights if "." in weights else f"{arch}.{weights.lower()}"
    if not full.startswith(f"{arch}.") or (tag and full != f"{arch}.{tag}"):
        raise ConfigError(f"weights={weights!r} are not weights of {arch}; see list_weights({arch!r}).")
    return full


def _as_model(named: Any, device: str | None = None) -> Any:
    """A system for a system, or for the name or folder of a model, loaded to ``device``; ``None`` for images."""
    if named is None or isinstance(named, System):
        return named
    if not isinstance(named, str | Path):
        return None
    path = Path(named).expanduser()
    if path.is_dir():
        is_model = (path / "config.json").is_file() or (path / "adapter_config.json").is_file()
        return load(path, device=device) if is_model or is_run(path) else None
    return None if path.exists() else load(named, device=device)
