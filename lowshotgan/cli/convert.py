"""Checkpoints of other projects as model folders: ``convert``."""

from typing import Any

import click

from lowshotgan.checks import given
from lowshotgan.cli.options import dry_run_option, examples, json_option
from lowshotgan.cli.output import quiet_stdout, show, written


@click.command(
    short_help="Turn a checkpoint of another project into a model folder.",
    epilog=examples(
        "convert animal149_gen.pt models/animals",
        "convert gen_00100000.pt models/mine --discriminator dis_00100000.pt --which gen",
        "convert coco.pt models/coco --resolution 256",
    ),
)
@click.argument("source", type=click.Path(exists=True, dir_okay=False))
@click.argument("output", type=click.Path(file_okay=False))
@click.option("--format", help="funit or coco_funit; by default recognised by the names of the tensors.")
@click.option(
    "--discriminator",
    type=click.Path(exists=True, dir_okay=False),
    help="FUNIT's second file; without it, further training starts with a new discriminator.",
)
@click.option(
    "--which",
    type=click.Choice(["gen_test", "gen"]),
    help="For FUNIT: the averaged generator (gen_test, the default) or the other one (gen).",
)
@click.option(
    "--resolution", type=click.IntRange(4), help="Side of the images it was trained on; by default the paper's."
)
@click.option("--overwrite", is_flag=True, help="Replace the model that OUTPUT holds.")
@dry_run_option
@json_option
def convert(source: str, output: str, dry_run: bool, as_json: bool, **settings: Any) -> None:
    """Read SOURCE without running anything stored in it, and write the model folder OUTPUT.

    Its licence stays that of the other project, and is recorded in the folder.
    """
    asked = {"source": source, "output": output, **given(**settings)}
    if dry_run:
        show(asked, as_json=as_json)
        return
    with quiet_stdout(as_json):
        from lowshotgan import api

        model = api.convert_checkpoint(source, output, **given(**settings))
    facts = {**asked, "arch": model.arch, "details": model.details}
    about = [f"{name}: {value}" for name, value in model.details.items()]
    show(facts, as_json=as_json, text="\n".join([written(output), *about]))
