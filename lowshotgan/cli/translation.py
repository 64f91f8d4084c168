"""Pictures redrawn in the manner of exemplars: ``translate``."""

from pathlib import Path
from typing import Any

import click

from lowshotgan.checks import given
from lowshotgan.cli.options import device_option, dry_run_option, examples, json_option, offline_option
from lowshotgan.cli.output import quiet_stdout, save_picture, show, written
from lowshotgan.errors import ConfigError


@click.command(
    short_help="Redraw images in the manner of exemplars.",
    epilog=examples(
        "translate runs/fruits --content apples/ --exemplars kiwi/ --grid out.png",
        "translate runs/fruits --content apples/ --exemplars kiwi/ --exemplars plum/ --output pictures",
        "translate runs/fruits --exemplars kiwi/ --save-code kiwi.safetensors",
        "translate runs/fruits --content apples/ --exemplars kiwi.safetensors --grid out.png",
        "translate runs/day-night --content day/ --exemplars night/1.png --direction a2b --grid out.png",
    ),
)
@click.argument("model")
@click.option("--content", type=click.Path(exists=True), help="Images whose layout is kept: a file, folder or zip.")
@click.option(
    "--exemplars",
    multiple=True,
    type=click.Path(exists=True),
    help="Example images of one class (a file, folder or zip), or a saved code; repeat for several classes.",
)
@click.option("-o", "--output", type=click.Path(file_okay=False), help="Folder for one PNG per image and class.")
@click.option("--grid", type=click.Path(dir_okay=False), help="File for one picture of all, contents on top.")
@click.option(
    "--save-code",
    type=click.Path(dir_okay=False),
    help="File in which to save the code of the exemplars, to be used again.",
)
@click.option(
    "--strength", type=click.FloatRange(0, 2), help="From the content's own look (0) to that of the exemplars (1)."
)
@click.option("--fit", type=click.Choice(["crop", "pad"]), help="Crop or pad images that are not square.")
@click.option(
    "--direction",
    type=click.Choice(["a2b", "b2a"]),
    help="For models of two domains: from the first to the second, or back.",
)
@click.option(
    "--adain",
    type=click.Choice(["standard", "egscit_code", "none"]),
    help="For models of two domains: how exemplars set the statistics of the content.",
)
@click.option("--mask/--no-mask", default=None, help="For models of two domains: use the feature mask of the content.")
@click.option("--noise", type=click.IntRange(0), help="For models of two domains: seed of noise; none by default.")
@click.option("--batch-size", type=click.IntRange(1), help="Contents redrawn at once.")
@device_option
@offline_option
@dry_run_option
@json_option
def translate(
    model: str,
    content: str | None,
    exemplars: tuple[str, ...],
    output: str | None,
    grid: str | None,
    save_code: str | None,
    strength: float | None,
    fit: str | None,
    batch_size: int | None,
    device: str | None,
    offline: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Redraw images with MODEL in the manner of exemplars (example images).

    The layout stays that of the images; the appearance is that of the exemplars.

    A model that was fine-tuned to a class needs no exemplars.
    """
    files = given(output=output, grid=grid, save_code=save_code)
    _check_wishes(content, exemplars, files)
    settings = given(fit=fit, **options)
    drawing = given(strength=strength, batch_size=batch_size)
    asked = {"model": model, "content": content, "exemplars": list(exemplars), **files}
    if dry_run:
        show({**asked, **settings, **drawing, "device": device}, as_json=as_json)
        return
    with quiet_stdout(as_json):
        from lowshotgan import api

        system = api.load(model, **given(device=device, local_files_only=offline or None))
        if save_code is not None:
            system.encode_exemplars(exemplars[0], name=_name(exemplars[0]), **settings).save(save_code)
        if content is not None:
            made = system.translate(content, _by_name(exemplars), **settings, **drawing)
            if output is not None:
                made.save(output)
            if grid is not None:
                save_picture(made.grid(), grid)
    show(asked, as_json=as_json, text="\n".join(written(path) for path in files.values()))


def _check_wishes(content: str | None, exemplars: tuple[str, ...], files: dict[str, str]) -> None:
    if not files:
        raise click.UsageError("say where to: --grid FILE, --output FOLDER or --save-code FILE.")
    if content is None and set(files) != {"save_code"}:
        raise click.UsageError("--grid and --output need --content.")
    if "save_code" in files and len(exemplars) != 1:
        raise click.UsageError("--save-code needs the --exemplars of one class.")


def _by_name(exemplars: tuple[str, ...]) -> dict[str, str] | None:
    """Class name -> path, the name being the folder's or file's."""
    named = {_name(path): path for path in exemplars}
    if len(named) != len(exemplars):
        raise ConfigError("two exemplars have the same name; rename one folder, names stand for classes.")
    return named or None


def _name(exemplars: str) -> str:
    path = Path(exemplars).resolve()
    return path.name if path.is_dir() else path.stem
