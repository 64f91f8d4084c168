"""Looking at images before and after: ``inspect`` and ``evaluate``."""

import click

from lowshotgan.cli.options import device_option, examples, given, json_option
from lowshotgan.cli.output import quiet_stdout, show


@click.command(
    short_help="Look at images before fine-tuning.",
    epilog=examples("inspect photos/ --resolution 64", "inspect photos.zip --fit pad --json"),
)
@click.argument("images", type=click.Path(exists=True))
@click.option("--resolution", type=click.IntRange(4), help="Side of the model's images, in pixels.")
@click.option("--fit", type=click.Choice(["crop", "pad"]), help="How images that are not square become so.")
@json_option
def inspect(images: str, resolution: int | None, fit: str | None, as_json: bool) -> None:
    """Tell sizes, modes, near duplicates and outliers of IMAGES, and what fine-tuning would do to them."""
    from lowshotgan import api

    with quiet_stdout(as_json):
        report = api.inspect_images(images, **given(resolution=resolution, fit=fit))
    show(report, as_json=as_json, text=report.summary())


@click.command(
    short_help="Compare generated with real images.",
    epilog=examples(
        "evaluate runs/mine held_out/ --train examples/ten-shots",
        "evaluate samples/ held_out/ --metric kernel --json",
    ),
)
@click.argument("target")
@click.argument("reference", type=click.Path(exists=True))
@click.option("--train", type=click.Path(exists=True), help="The images it was adapted to, to measure copying.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Only this metric (kernel, frechet, manifold, memorization ...); may be repeated.",
)
@click.option("--extractor", help="auto, lsg1, rand-vgg11-s0, inception.")
@click.option("--n", type=click.IntRange(2), help="Number of generated images.")
@click.option("--seed", type=click.IntRange(0), help="First seed.")
@device_option
@json_option
def evaluate(
    target: str,
    reference: str,
    train: str | None,
    metrics: tuple[str, ...],
    extractor: str | None,
    n: int | None,
    seed: int | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Compare TARGET (a run, a model or a folder of generated images) with the REFERENCE images."""
    from lowshotgan import api

    settings = given(train=train, metrics=metrics or None, extractor=extractor, n=n, seed=seed, device=device)
    with quiet_stdout(as_json):
        report = api.evaluate(target, reference, **settings)
    show(report, as_json=as_json, text=report.table())
