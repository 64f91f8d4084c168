"""Pictures from a model: ``generate``, ``interpolate``, ``project``."""

from pathlib import Path
from typing import Any

import click

from lowshotgan.checks import given
from lowshotgan.cli.categories import CATEGORY_HELP, add_knowledge, as_category, knowledge_option
from lowshotgan.cli.options import (
    Seeds,
    device_option,
    dry_run_option,
    examples,
    json_option,
    offline_option,
)
from lowshotgan.cli.output import quiet_stdout, save_picture, show, written
from lowshotgan.errors import ConfigError

truncation_option = click.option(
    "--truncation", type=click.FloatRange(0, 2), help="1 keeps all variety; values below 1 give fewer oddities."
)
blend_option = click.option(
    "--blend",
    type=click.FloatRange(0, 1),
    help="For an adapted model: how far to go from its base (0) to the adapted model (1).",
)
at_option = click.option(
    "--at", type=click.IntRange(1), help="For a run folder: use the snapshot of this step instead of the chosen one."
)
batch_option = click.option("--batch-size", type=click.IntRange(1), help="Images drawn at once.")
a_file = click.Path(exists=True, dir_okay=False)


@click.command(
    short_help="Draw images from a model.",
    epilog=examples(
        "generate runs/mine --seeds 0-63 --truncation 0.8 --grid out.png",
        "generate stylegan2_64.avatars_v1 --seeds 0,5,10-19 --output pictures",
        "generate runs/mine --seeds 0-15 --blend 0.7 --grid half-way.png",
        "generate runs/paired --domain both --seeds 0-15 --grid pairs.png",
        "generate runs/paired --content faces/ --appearance shot.png --grid mixed.png",
        "generate runs/shapes --category 'blue cross' --grid unseen.png",
        "generate runs/shapes --category colour=blue,shape=cross --grid unseen.png",
        "generate runs/shapes --knowledge more.csv --category 'green ring' --grid new.png",
        "generate runs/mine --latents projected/ws.safetensors --grid again.png",
    ),
)
@click.argument("model")
@click.option("--seeds", type=Seeds(), show_default="0-15", help="Seeds: 0,5,10-19.")
@click.option("--latents", type=a_file, help="Instead of seeds: a .safetensors file, such as the one project writes.")
@click.option(
    "--domain",
    type=click.Choice(["source", "target", "both"]),
    help="For models made from pairs: which domain to draw, or both side by side.",
)
@click.option(
    "--content", type=click.Path(exists=True), help="For models made from pairs: images that give the content."
)
@click.option(
    "--appearance", type=click.Path(exists=True), help="For LaDo and PFS-GAN: images that give the appearance."
)
@truncation_option
@blend_option
@at_option
@click.option("--category", help=CATEGORY_HELP)
@knowledge_option
@click.option(
    "--modality", help="For models of several modalities: draw only this one; by default all, of the same concepts."
)
@click.option("-o", "--output", type=click.Path(file_okay=False), help="Folder for one file per seed.")
@click.option("--grid", type=click.Path(dir_okay=False), help="File for one picture of all images.")
@click.option("--columns", type=click.IntRange(1), help="Columns of the grid; by default it is about square.")
@batch_option
@device_option
@offline_option
@dry_run_option
@json_option
def generate(
    model: str,
    seeds: list[int] | None,
    latents: str | None,
    domain: str | None,
    content: str | None,
    appearance: str | None,
    truncation: float | None,
    blend: float | None,
    at: int | None,
    category: str | None,
    knowledge: str | None,
    modality: str | None,
    output: str | None,
    grid: str | None,
    columns: int | None,
    batch_size: int | None,
    device: str | None,
    offline: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Draw images from MODEL: a run folder, a model folder or a published name.

    A seed is the number an image is drawn from; it always gives the same image.
    """
    if output is None and grid is None:
        raise click.UsageError("say where to: --grid FILE, --output FOLDER, or both.")
    inputs = given(latents=latents, domain=domain, content=content, appearance=appearance)
    settings = inputs | given(truncation=truncation, batch_size=batch_size, category=category, modality=modality)
    if seeds is None and not {"latents", "content", "appearance"} & inputs.keys():
        seeds = list(range(16))
    if dry_run:
        resolved = {
            "model": model,
            "seeds": seeds,
            "blend": blend,
            "at": at,
            "device": device,
            "output": output,
            "grid": grid,
        }
        show({**resolved, **given(knowledge=knowledge), **settings}, as_json=as_json)
        return
    with quiet_stdout(as_json):
        system = _load(model, blend=blend, at=at, device=device, offline=offline)
        add_knowledge(system, knowledge)
        if category is not None:
            settings["category"] = as_category(category, getattr(system, "categories", ()))
        made = system.generate(seeds=seeds, **settings)
        if output is not None:
            made.save(output)
        if grid is not None:
            picture = made.grid(**given(columns=columns))
            save_picture(picture, grid)
    files = given(output=output, grid=grid)
    text = "\n".join(written(path) for path in files.values())
    show({"model": model, "seeds": seeds, **files}, as_json=as_json, text=text)


@click.command(
    short_help="Write an animation through latent space.",
    epilog=examples(
        "interpolate runs/mine --seeds 0,1,2 --frames 60 --output walk.webp",
        "interpolate runs/mine --seeds 4,8,15,16 --no-loop --fps 24 --output walk.gif",
        "interpolate runs/mine --seeds 0,1 --output walk.mp4      # needs lowshotgan[video]",
        "interpolate runs/mine --latents projected/ws.safetensors --seeds 3 --output walk.webp",
        "interpolate runs/shapes --seeds 3 --category 'red ring' --category 'blue cross' --output walk.gif",
    ),
)
@click.argument("model")
@click.option("--seeds", type=Seeds(), show_default="0,1,2", help="Seeds that the walk passes.")
@click.option(
    "--latents",
    type=a_file,
    multiple=True,
    help="A file written by project, which the walk passes before the seeds; may be repeated.",
)
@click.option(
    "--category", "categories", multiple=True, help=f"{CATEGORY_HELP} Repeat it for a walk between categories."
)
@knowledge_option
@click.option("--frames", type=click.IntRange(2), default=60, show_default=True, help="Number of frames.")
@click.option("--fps", type=click.IntRange(1, 120), default=20, show_default=True, help="Frames per second.")
@click.option(
    "--loop/--no-loop", default=None, help="Return to the first stop, so that the animation repeats smoothly."
)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="walk.gif, .webp or .mp4.")
@truncation_option
@blend_option
@at_option
@batch_option
@device_option
@offline_option
@json_option
def interpolate(
    model: str,
    seeds: list[int] | None,
    latents: tuple[str, ...],
    categories: tuple[str, ...],
    knowledge: str | None,
    frames: int,
    fps: int,
    output: str,
    blend: float | None,
    at: int | None,
    device: str | None,
    offline: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Write an animation in which the images of MODEL change smoothly from one seed, category or file to the next."""
    from lowshotgan.data.animation import check_animation_path

    check_animation_path(output)
    if seeds is None and not latents:
        seeds = [0] if len(categories) > 1 else [0, 1, 2]
    if max(len(latents) + len(seeds or []), len(categories)) < 2:
        raise ConfigError("a walk needs at least two stops; for example --seeds 0,1.")
    stops: dict[str, Any] = given(latents=list(latents) or None)
    with quiet_stdout(as_json):
        walker = _load(model, blend=blend, at=at, device=device, offline=offline)
        add_knowledge(walker, knowledge)
        if categories:
            stops["categories"] = [as_category(text, getattr(walker, "categories", ())) for text in categories]
        walk = walker.interpolate(seeds, frames=frames, **stops, **given(**settings))
        walk.save_animation(output, fps=fps)
    about = {"model": model, "seeds": seeds, **stops, "frames": len(walk), "fps": fps, "output": output}
    show(about, as_json=as_json, text=written(output))


@click.command(
    short_help="Find the latent of an image.",
    epilog=examples("project runs/mine face.png --output projected", "project runs/mine face.png -o p --steps 500"),
)
@click.argument("model")
@click.argument("image", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False), help="Folder for the result.")
@click.option("--steps", type=click.IntRange(1), help="Optimisation steps.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the random numbers.")
@device_option
@offline_option
@json_option
def project(
    model: str, image: str, output: str, device: str | None, offline: bool, as_json: bool, **settings: Any
) -> None:
    """Find the styles (inner codes of MODEL) whose image is closest to IMAGE.

    IMAGE should be framed like the images MODEL was trained on. The folder gets projection.png, the image found, and
    ws.safetensors, which generate and interpolate take as --latents.
    """
    with quiet_stdout(as_json):
        found = _load(model, device=device, offline=offline).project(image, **given(**settings))
        _save_projection(found, Path(output))
    about = {"model": model, "image": image, "output": output, "distance": float(found.distance)}
    show(about, as_json=as_json, text=f"{written(output)} (distance {found.distance:.4g})")


def _load(
    model: str,
    *,
    blend: float | None = None,
    at: int | None = None,
    device: str | None = None,
    offline: bool = False,
) -> Any:
    from lowshotgan import api

    system = api.load(model, **given(at=at, device=device, local_files_only=offline or None))
    return system if blend is None else system.blend(blend)


def _save_projection(found: Any, folder: Path) -> None:
    """Write what was drawn (``projection.png``) and the styles that draw it (``ws.safetensors``)."""
    from lowshotgan.hub.tensors import write_tensors

    folder.mkdir(parents=True, exist_ok=True)
    found.image.save(folder / "projection.png")
    write_tensors(folder / "ws.safetensors", {"ws": found.ws.detach().cpu()})
