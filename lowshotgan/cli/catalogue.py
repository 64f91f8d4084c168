"""What there is: ``list``, ``info``, ``download``, ``doctor``."""

from pathlib import Path
from typing import Any

import click

from lowshotgan.checks import given
from lowshotgan.cli.options import examples, json_option
from lowshotgan.cli.output import lines, plain, quiet_stdout, show, table, written
from lowshotgan.errors import WeightsNotFoundError
from lowshotgan.hub.files import CONFIG, read_config, read_json
from lowshotgan.systems.registry import ARCHS, VERBS


@click.command(
    "list",
    short_help="List models, weights and recipes.",
    epilog=examples(
        "list --pretrained",
        "list 'stylegan2_*' --json",
        "list --pretrained --license permissive",
        "list --recipes -k 10",
    ),
)
@click.argument("pattern", default="*")
@click.option("--pretrained", is_flag=True, help="Only models with published weights.")
@click.option("--verb", help="Only models that can do this: generate, project, interpolate, translate ...")
@click.option(
    "--license", "license_", help="Only weights under this licence: an SPDX name such as CC-BY-4.0, or permissive."
)
@click.option("--recipes", is_flag=True, help="List the fine-tuning recipes instead.")
@click.option("-k", type=click.IntRange(1), help="With --recipes: only those made for this many images.")
@json_option
def list_(
    pattern: str,
    pretrained: bool,
    verb: str | None,
    license_: str | None,
    recipes: bool,
    k: int | None,
    as_json: bool,
) -> None:
    """List models whose name matches PATTERN, with the licence of their weights."""
    from lowshotgan import api

    with quiet_stdout(as_json):
        if recipes:
            found: list[Any] = list(api.list_recipes(k))
        else:
            names = api.list_models(pattern, pretrained=pretrained, verb=verb, license=license_)
            found = [_about(api, name) for name in names]
    text = "\n".join(found) if recipes else table([_row(about) for about in found])
    show(found, as_json=as_json, text=text or "nothing matches; 'lowshotgan list' shows everything")


@click.command(
    short_help="Show what is known of a model, architecture or run.",
    epilog=examples("info stylegan2_64.avatars_v1", "info stylegan2_128", "info runs/mine --json"),
)
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show what is known of an architecture, published weights, a model folder or a run.

    For weights: where they come from, licences and scores; --json adds the fingerprint of their first image.
    """
    from lowshotgan import api

    folder = Path(name.removeprefix("local-dir:"))
    with quiet_stdout(as_json):
        if folder.is_dir():
            about = {"folder": str(folder), **_about_folder(folder)}
        elif name in ARCHS:
            about = _about_arch(api, name)
        else:
            about = {"name": name, **plain(api.get_weights(name))}
    text = {key: value for key, value in plain(about).items() if key != "fingerprint"}
    show(about, as_json=as_json, text=lines(text))


@click.command(
    short_help="Fetch published weights for offline use.",
    epilog=examples(
        "download stylegan2_64.avatars_v1",
        "download stylegan2_64.avatars_v1 --to weights",
    )
    + "\n\nTo use a folder made with --to elsewhere, set LOWSHOTGAN_WEIGHTS_DIR to it.",
)
@click.argument("name")
@click.option("--to", type=click.Path(file_okay=False), help="Folder in which to put NAME/; by default the cache.")
@json_option
def download(name: str, to: str | None, as_json: bool) -> None:
    """Fetch and check all files of published weights, for use without a network later."""
    from lowshotgan import api

    with quiet_stdout(as_json):
        folder = api.download(name, **given(to=to))
    show({"name": name, "folder": str(Path(folder))}, as_json=as_json, text=written(folder))


@click.command(short_help="Check this installation.", epilog=examples("doctor", "doctor --json"))
@json_option
def doctor(as_json: bool) -> int:
    """Check this installation: versions, devices, weights and whether a seed gives the picture it should.

    The exit status is 1 if a check failed.
    """
    from lowshotgan import api

    with quiet_stdout(as_json):
        report = api.doctor()
    show(report, as_json=as_json)
    return 0 if report.get("ok", True) else 1


def _about(api: Any, name: str) -> dict[str, Any]:
    if "." not in name:
        weights = list(api.list_weights(name))
        summary = f"weights: {', '.join(weights)}" if weights else "no published weights"
        return {"name": name, "license": None, "size": None, "weights": weights, "summary": summary}
    entry = api.get_weights(name)
    return {"name": name, "license": entry.licenses.weights, "size": entry.size, "summary": entry.summary}


def _about_arch(api: Any, name: str) -> dict[str, Any]:
    system, arguments = ARCHS[name]
    weights = list(api.list_weights(name))
    return {
        "name": name,
        "system": system,
        "verbs": sorted(VERBS[system]),
        "arguments": dict(arguments),
        "weights": weights or "none published; 'lowshotgan train' makes some",
    }


def _row(about: dict[str, Any]) -> tuple[str, str, str, str]:
    size = "" if about["size"] is None else f"{about['size'] / 1e6:.1f} MB"
    return about["name"], about["license"] or "", size, about["summary"]


def _about_folder(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder, or that of a run and of its final model."""
    if (folder / "model" / CONFIG).is_file():
        run = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
        return {"model": read_config(folder / "model"), "run": run}
    if (folder / CONFIG).is_file():
        return {"model": read_config(folder)}
    raise WeightsNotFoundError(
        f"{folder} holds no {CONFIG}: it is neither a model folder nor a run; "
        f"'lowshotgan list' names the published models."
    )
