"""Changing the colour of a region: ``recolor``."""

from pathlib import Path
from typing import Any

import click

from lowshotgan.checks import given
from lowshotgan.cli.options import device_option, dry_run_option, examples, json_option, offline_option
from lowshotgan.cli.output import quiet_stdout, save_picture, show, written


@click.command(
    short_help="Recolour a region of images.",
    epilog=examples(
        "recolor runs/hair photos/ --color '#aa3377' --output pink",
        "recolor runs/hair photo.png --category blond --output blond --mask",
        "recolor runs/hair photo.png --sheet colours.png",
        "recolor runs/hair photo.png --color '#aa3377' --color '#2040d0' --sheet two.png",
    ),
)
@click.argument("model")
@click.argument("images", type=click.Path(exists=True))
@click.option(
    "--color", "colors", multiple=True, help="Target colour: '#aa3377' or 170,51,119; with --sheet it may be repeated."
)
@click.option("--category", help="Instead of a colour, the name of a category from the training.")
@click.option("-o", "--output", type=click.Path(file_okay=False), help="Folder for one PNG per image.")
@click.option(
    "--sheet", type=click.Path(dir_okay=False), help="File for one picture that shows each image in each colour."
)
@click.option("--mask", is_flag=True, help="Also write where the colour was changed (mask000000.png ...).")
@click.option("--hard", is_flag=True, default=None, help="Make the mask all or nothing, by cutting it at one half.")
@device_option
@offline_option
@dry_run_option
@json_option
def recolor(
    model: str,
    images: str,
    colors: tuple[str, ...],
    category: str | None,
    output: str | None,
    sheet: str | None,
    mask: bool,
    hard: bool | None,
    device: str | None,
    offline: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Recolour a region of IMAGES (a file, folder or zip) with MODEL; everything outside the region stays."""
    from lowshotgan.data.colours import parse_colour

    if output is None and sheet is None:
        raise click.UsageError("say where to: --output FOLDER, --sheet FILE, or both.")
    if output is not None and (len(colors) + (category is not None)) != 1:
        raise click.UsageError("--output needs one --color or one --category.")
    if category is not None and output is None:
        raise click.UsageError("--category needs --output FOLDER; a sheet shows the colours of --color.")
    if mask and output is None:
        raise click.UsageError("--mask needs --output FOLDER.")
    for color in colors:
        parse_colour(color)
    about = {"model": model, "images": images, **given(colors=list(colors) or None, category=category)}
    about |= given(output=output, sheet=sheet)
    if dry_run:
        show(about, as_json=as_json)
        return
    with quiet_stdout(as_json):
        system = _load(model, device=device, offline=offline)
        if output is not None:
            target = {"category": category} if category else {"color": colors[0]}
            _write(system.recolor(images, mask=mask, hard=hard, **target), Path(output))
        if sheet is not None:
            save_picture(system.contact_sheet(images, *([list(colors)] if colors else []), hard=hard), sheet)
    show(about, as_json=as_json, text="\n".join(written(path) for path in given(output=output, sheet=sheet).values()))


def _load(model: str, *, device: str | None, offline: bool) -> Any:
    from lowshotgan import api

    system = api.load(model, **given(device=device, local_files_only=offline or None))
    if not hasattr(system, "contact_sheet"):
        raise system.unsupported("recolor")
    return system


def _write(made: Any, folder: Path) -> None:
    from lowshotgan.data.images import to_pil

    made.save(folder, prefix="image")
    if made.masks is not None:
        for number, picture in enumerate(to_pil((made.masks * 2 - 1).expand(-1, 3, -1, -1))):
            picture.save(folder / f"mask{number:06d}.png")
