"""Training: ``finetune`` (K images in, adapted model out) and ``train`` (a source model from nothing)."""

from pathlib import Path
from typing import Any

import click

from lowshotgan.checks import given
from lowshotgan.cli.options import (
    Colour,
    Duration,
    Part,
    config_option,
    device_option,
    dry_run_option,
    examples,
    json_option,
    output_option,
    overrides,
    parts,
)
from lowshotgan.cli.output import quiet_stdout, show
from lowshotgan.systems.registry import DEFAULT_MODEL

steps_option = click.option("--steps", type=click.IntRange(1), help="Number of training steps.")
budget_option = click.option("--budget", type=Duration(), help="Time limit of the training: 90s, 9m, 1h30m.")
batch_option = click.option("--batch-size", type=click.IntRange(1), help="Images per step, over all processes.")
accumulate_option = click.option(
    "--accumulate", type=click.IntRange(1), help="Compute each step in this many parts, to save memory."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    help="Arithmetic of the networks; auto measures what is faster.",
)
resume_option = click.option(
    "--resume",
    type=click.Choice(["auto", "never", "must"]),
    help="Continue the run in the output folder if there is one (auto), never, or fail without one (must).",
)
seed_option = click.option("--seed", type=click.IntRange(0), help="Seed of all random numbers.")
tensorboard_option = click.option("--tensorboard", is_flag=True, default=None, help="Also write TensorBoard files.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Show less: no progress bar, no predictions.")
aligned_option = click.option(
    "--aligned",
    is_flag=True,
    help="For several modalities: items at the same place in the order of names belong together, whatever their folder.",
)
set_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other setting, such as lr=0.001; may be repeated.",
)


def joined(data: str | dict[str, str] | None, *, aligned: bool) -> str | dict[str, str] | None:
    """The data of several modalities with what belongs together, by place if ``aligned``."""
    if not aligned:
        return data
    if not isinstance(data, dict):
        raise click.UsageError("--aligned is for --data NAME=PATH, once for each of several modalities.")
    return data | {"pairs": "aligned"}


def running(output: str, dry_run: bool, quiet: bool, as_json: bool) -> dict[str, Any]:
    """The arguments both verbs take on where and how to run."""
    return {"output_dir": output, "dry_run": dry_run, "progress": not (quiet or as_json)}


@click.command(
    short_help="Adapt a generator to a handful of images.",
    epilog=examples(
        "finetune examples/ten-shots --output runs/mine",
        "finetune photos.zip --output runs/photos --budget 9m --recipe cdc",
        "finetune photos/ --output runs/photos -k 10 --seed 3 --no-flip --fit pad --background white",
        "finetune photos/ --output runs/photos --recipe cdc --set lr=0.001 --set regularizers__weight=500",
        "finetune photos/ --output runs/photos --config settings.toml --dry-run",
        "finetune drawings/ --partners photos/ --model runs/lado --output runs/drawn",
        "finetune --data image=more/ --data audio=said/ --aligned --model runs/digits --output runs/more",
    ),
)
@click.argument("images", type=click.Path(exists=True), required=False)
@click.option(
    "-d",
    "--data",
    type=Part(),
    multiple=True,
    callback=parts,
    help="For models of several modalities, instead of IMAGES: NAME=PATH, once for each modality.",
)
@aligned_option
@click.option(
    "--partners",
    type=click.Path(exists=True),
    help="For models that learn from pairs: the source partners of the images, with the same file names.",
)
@output_option
@click.option(
    "-m",
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    help="Model to adapt: a published name, a model folder or a run.",
)
@click.option("-r", "--recipe", help="auto (the default), or a name that 'lowshotgan list --recipes' prints.")
@steps_option
@budget_option
@batch_option
@accumulate_option
@precision_option
@resume_option
@seed_option
@click.option("-k", type=click.IntRange(1), help="Use only this many of the images, drawn by the seed.")
@click.option("--flip/--no-flip", default=None, help="Mirror images at random, or never.")
@click.option("--fit", type=click.Choice(["crop", "pad"]), help="Crop or pad images that are not square.")
@click.option("--background", type=Colour(), help="Colour behind transparency and padding.")
@click.option(
    "--proximity",
    type=click.Choice(["near", "far"]),
    help="Whether the images are near or far from the base, if you know better than the measurement.",
)
@click.option("--extractor", help="Feature network that judges snapshots: auto, lsg1, inception ...")
@set_option
@device_option
@tensorboard_option
@config_option
@quiet_option
@dry_run_option
@json_option
def finetune(
    images: str | None,
    data: str | dict[str, str] | None,
    aligned: bool,
    partners: str | None,
    output: str,
    model: str,
    changes: tuple[str, ...],
    quiet: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Adapt a pretrained generator to the IMAGES in a folder or zip.

    A model that learns from pairs takes IMAGES with --partners, a folder with the sub-folders source and target, or a
    folder of images that show both partners side by side, source on the left. A model of several modalities takes --data.

    The run folder receives the adapted model, previews and, from recipes, a report. The same command continues a run
    that was stopped.
    """
    from lowshotgan import api

    if (images is None) == (data is None) or (partners is not None and images is None):
        raise click.UsageError("give either IMAGES, maybe with --partners, or --data NAME=PATH for each modality.")
    parts_of_pairs = joined(data, aligned=aligned)
    options = given(**options) | overrides(changes) | running(output, dry_run, quiet, as_json)
    if parts_of_pairs is not None:
        options["pairs"] = parts_of_pairs
    elif partners is not None:
        options["pairs"] = (partners, images)
    with quiet_stdout(as_json):
        result = api.finetune(model, None if "pairs" in options else images, **options)
    _show_result(output, result, as_json=as_json)


@click.command(
    short_help="Train a source model on many images.",
    epilog=examples(
        "train --recipe recipes/stylegan2_64.avatars_v1.toml --data avatars.zip --output runs/base",
        "train stylegan2_64 --data photos/ --output runs/photos --steps 20000",
        "train --recipe my.toml --data photos/ --output runs/photos --dry-run",
        "train syncgan_28 --data first=digits/ --data second=garments/ --output runs/pairs",
    ),
)
@click.argument("system", required=False)
@click.option(
    "-d",
    "--data",
    type=Part(),
    multiple=True,
    callback=parts,
    help="Images: a folder or zip. For several modalities NAME=PATH, once for each modality.",
)
@aligned_option
@output_option
@click.option(
    "--recipe",
    "--config",
    "recipe_file",
    type=click.Path(exists=True, dir_okay=False),
    help="TOML file with architecture, data options and settings (see recipes/); the command line wins.",
)
@steps_option
@budget_option
@batch_option
@accumulate_option
@precision_option
@resume_option
@seed_option
@set_option
@device_option
@tensorboard_option
@quiet_option
@dry_run_option
@json_option
def train(
    system: str | None,
    data: str | dict[str, str] | None,
    aligned: bool,
    output: str,
    changes: tuple[str, ...],
    quiet: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train SYSTEM (an architecture such as stylegan2_64) from scratch on many images.

    A recipe file can name the system and its settings, so that one command trains the same model anywhere.
    """
    from lowshotgan import api

    if system is None and options["recipe_file"] is None:
        raise click.UsageError("name a SYSTEM such as stylegan2_64, or pass --recipe FILE.")
    options = given(**options) | overrides(changes) | running(output, dry_run, quiet, as_json)
    with quiet_stdout(as_json):
        result = api.train(system, joined(data, aligned=aligned), **options)
    _show_result(output, result, as_json=as_json)


def _show_result(output: str, result: Any, *, as_json: bool) -> None:
    """Print a ``TrainResult``, with the report if there is one, or the settings of a dry run."""
    if isinstance(result, dict):
        show(result, as_json=as_json)
        return
    about = {"output": output, "model": str(Path(output) / "model")}
    text = f"model: {about['model']}"
    if result.report_path is not None:
        about |= {"report": str(result.report_path), "recipe": result.recipe.name}
        about |= {"memorization": result.memorization.rate}
        text += f"\nreport: {about['report']}"
    show(about | {name: getattr(result, name) for name in ("steps", "stopped", "seconds")}, as_json=as_json, text=text)
