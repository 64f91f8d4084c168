"""Looking at images before and after: ``inspect`` and ``evaluate``."""

from typing import Any

import click

from lowshotgan.checks import given
from lowshotgan.cli.options import Colour, device_option, examples, json_option
from lowshotgan.cli.output import quiet_stdout, show


@click.command(
    short_help="Look at images before fine-tuning.",
    epilog=examples("inspect photos/ --resolution 64", "inspect photos.zip --fit pad --json"),
)
@click.argument("images", type=click.Path(exists=True))
@click.option("--resolution", type=click.IntRange(4), help="Side of the model's images, in pixels.")
@click.option("--fit", type=click.Choice(["crop", "pad"]), help="Crop or pad images that are not square.")
@json_option
def inspect(images: str, resolution: int | None, fit: str | None, as_json: bool) -> None:
    """Show sizes, colour modes, near duplicates and outliers of IMAGES, and how fine-tuning would prepare them."""
    from lowshotgan import api

    with quiet_stdout(as_json):
        report = api.inspect_images(images, **given(resolution=resolution, fit=fit))
    show(report, as_json=as_json, text=report.summary())


@click.command(
    short_help="Compare generated with real images.",
    epilog=examples(
        "evaluate runs/mine held_out/ --train examples/ten-shots",
        "evaluate samples/ held_out/ --metric kernel --json",
        "evaluate runs/fruits fruits/ --shots 5",
        "evaluate runs/old held_out/ --train photos/ --fit pad --background white --device cuda",
        "evaluate runs/drawn held_out_drawings/ --partners held_out_photos/",
    ),
)
@click.argument("target")
@click.argument("reference", type=click.Path(exists=True))
@click.option(
    "--partners",
    type=click.Path(exists=True),
    help="For models learnt from pairs: the source partners of the reference images, with the same file names.",
)
@click.option("--train", type=click.Path(exists=True), help="The images TARGET was trained on, to measure copying.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Only this metric (kernel, frechet, manifold, memorization ...); may be repeated.",
)
@click.option("--extractor", help="Feature network: auto, lsg1, rand-vgg11-s0, inception.")
@click.option("--n", type=click.IntRange(2), help="Number of images drawn from a model.")
@click.option("--truncation", type=click.FloatRange(0, 2), help="As for generate, for images drawn from a model.")
@click.option("--base", help="The model before fine-tuning, to measure what was kept of it.")
@click.option("--resolution", type=click.IntRange(4), help="Side to which images are brought; by default the model's.")
@click.option("--shots", type=click.IntRange(1), help="For translators: exemplars for each translation.")
@click.option(
    "--content", type=click.Path(exists=True), help="For translators: images to translate; by default REFERENCE's own."
)
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad"]),
    help="Crop or pad REFERENCE and --train; by default as in fine-tuning.",
)
@click.option(
    "--background", type=Colour(), help="Colour behind transparency and padding; by default as in fine-tuning."
)
@click.option("--seed", type=click.IntRange(0), help="Seed of subsets and resamples.")
@device_option
@json_option
def evaluate(
    target: str, reference: str, partners: str | None, metrics: tuple[str, ...], as_json: bool, **settings: Any
) -> None:
    """Compare TARGET (a run, a model or a folder of generated images) with the REFERENCE images.

    A translator is judged by its translations into the class folders of REFERENCE: those it was not trained on, or all
    if it was trained on them all. For a model learnt from pairs, give held-out pairs with --partners to have its twins
    (the same seed in both domains) judged too.
    """
    from lowshotgan import api

    with quiet_stdout(as_json):
        images = reference if partners is None else (partners, reference)
        report = api.evaluate(target, images, **given(metrics=metrics or None, **settings))
    show(report, as_json=as_json, text=report.table())
