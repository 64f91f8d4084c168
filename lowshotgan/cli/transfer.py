"""Between modalities: ``transfer`` from one to another, and ``synchrony``, how well two match."""

from typing import Any

import click

from lowshotgan.checks import given
from lowshotgan.cli.options import (
    Part,
    device_option,
    examples,
    json_option,
    offline_option,
    parts,
)
from lowshotgan.cli.output import quiet_stdout, show, table, written
from lowshotgan.errors import ConfigError

METHODS = ("auto", "encoder", "hybrid", "optimize", "nearest")


@click.command(
    short_help="Show items of one modality (image, sound ...) in another.",
    epilog=examples(
        "transfer runs/digits seven.png --to audio --output heard",
        "transfer runs/digits seven.wav --to image --output seen --method nearest --candidates 1000",
        "transfer runs/digits sevens/ --to audio --output heard -n 4",
    ),
)
@click.argument("model")
@click.argument("items", type=click.Path(exists=True))
@click.option("--to", required=True, help="Modality of the result.")
@click.option("--from", "from_", help="Modality of ITEMS; not needed if MODEL has only two.")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder for the results.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    help="How the code of an item is found; by default auto, hybrid with encoders and else optimize.",
)
@click.option("-n", type=click.IntRange(1), help="Number of results for each item.")
@click.option("--steps", type=click.IntRange(1), help="Optimisation steps.")
@click.option("--restarts", type=click.IntRange(1), help="Random starts of the optimisation.")
@click.option("--candidates", type=click.IntRange(1), help="Generated items that 'nearest' chooses from.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the random numbers.")
@device_option
@offline_option
@click.option("--dry-run", is_flag=True, help="Print the resolved settings and stop; nothing is written.")
@json_option
def transfer(
    model: str,
    items: str,
    output: str,
    device: str | None,
    offline: bool,
    dry_run: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Show ITEMS (a file or folder of one modality) in another modality of MODEL.

    The remaining error tells how well the codes that were found draw the items themselves.
    """
    settings = given(**settings)
    if dry_run:
        asked = {"model": model, "items": items, "output": output, "device": device}
        show(asked | {name.rstrip("_"): value for name, value in settings.items()}, as_json=as_json)
        return
    from lowshotgan import api

    with quiet_stdout(as_json):
        system = api.load(model, **given(device=device, local_files_only=offline or None))
        made = system.transfer(items, **settings)
        files = made.save(output, prefix="item")
    error = [] if made.error is None else [round(float(value), 4) for value in made.error]
    about = {"model": model, "items": items, "output": output, "files": [str(path) for path in files], "error": error}
    show(
        about,
        as_json=as_json,
        text=written(output) + (f" (remaining error {', '.join(map(str, error))})" if error else ""),
    )


@click.command(
    short_help="Say how surely items of two modalities belong together.",
    epilog=examples("synchrony runs/digits --data image=sevens/ --data audio=spoken/"),
)
@click.argument("model")
@click.option(
    "-d",
    "--data",
    type=Part(),
    multiple=True,
    required=True,
    callback=parts,
    help="NAME=PATH, once for each of two modalities: a file or folder.",
)
@device_option
@offline_option
@json_option
def synchrony(model: str, data: str | dict[str, str], device: str | None, offline: bool, as_json: bool) -> None:
    """Ask the synchronizer of MODEL about two modalities, item by item in the order of their names.

    A number near 1 means that both show the same concept, one near 0 that they do not.
    """
    if isinstance(data, str) or len(data) != 2:
        raise click.UsageError("give --data NAME=PATH twice, once for each of two modalities.")
    from lowshotgan import api

    with quiet_stdout(as_json):
        system = api.load(model, **given(device=device, local_files_only=offline or None))
        if not hasattr(system, "synchrony"):
            raise ConfigError(
                f"{model} is a {system.system} model, which has no synchronizer to ask; syncgan has one."
            )
        one, other = data
        found = [round(float(value), 4) for value in system.synchrony(data[one], data[other], names=(one, other))]
    rows = [[str(index), f"{value:.4f}"] for index, value in enumerate(found)]
    show({"model": model, "data": data, "synchrony": found}, as_json=as_json, text=table(rows))
