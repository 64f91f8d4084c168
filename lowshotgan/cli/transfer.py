"""From one modality to another: ``transfer``."""

from typing import Any

import click

from lowshotgan.cli.options import device_option, examples, given, json_option, offline_option
from lowshotgan.cli.output import quiet_stdout, show, written

METHODS = ("auto", "encoder", "hybrid", "optimize", "nearest")


@click.command(
    short_help="Show items of one modality in another.",
    epilog=examples(
        "transfer runs/digits seven.png --to audio --output heard",
        "transfer runs/digits seven.wav --to image --output seen --method nearest",
    ),
)
@click.argument("model")
@click.argument("items", type=click.Path(exists=True))
@click.option("--to", required=True, help="Modality of the result.")
@click.option("--from", "from_", help="Modality of ITEMS; not needed if there are two.")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder for the results.")
@click.option("--method", type=click.Choice(METHODS), help="How codes are found; auto takes the best there is.")
@click.option("-n", type=click.IntRange(1), help="Results for each item.")
@click.option("--steps", type=click.IntRange(1), help="Optimisation steps.")
@click.option("--restarts", type=click.IntRange(1), help="Starts of the optimisation.")
@click.option("--seed", type=click.IntRange(0), help="Start of the random numbers.")
@device_option
@offline_option
@json_option
def transfer(
    model: str,
    items: str,
    output: str,
    device: str | None,
    offline: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Write ITEMS (a file or folder of one modality) as another modality of MODEL, and say how well they were met."""
    from lowshotgan import api

    with quiet_stdout(as_json):
        system = api.load(model, **given(device=device, local_files_only=offline or None))
        made = system.transfer(items, **given(**settings))
        files = made.save(output, prefix="item")
    error = [] if made.error is None else [round(float(value), 4) for value in made.error]
    about = {"model": model, "items": items, "output": output, "files": [str(path) for path in files], "error": error}
    show(
        about,
        as_json=as_json,
        text=written(output) + (f" (remaining error {', '.join(map(str, error))})" if error else ""),
    )
