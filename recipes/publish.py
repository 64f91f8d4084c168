"""Turn a finished training into published weights: a folder in ``weights/`` and its entry in
``weights/manifest.json``.

    python recipes/publish.py runs/avatars --about recipes/stylegan2_64.avatars_v1.toml --metrics runs/metrics.json
    python recipes/publish.py --check

Time: seconds. The first form writes ``weights/<name>/`` (large tensors as float16, card, picture of seeds 0
to 63) and the entry with sizes, SHA-256, licences, provenance, metrics and the fingerprint of seed 0. A
README or picture that lies in the source already is kept. The second form compares every file with its entry.

What the entry says comes from the table ``[about]`` of the recipe:

    name = "stylegan2_64.avatars_v1"        # <arch>.<tag>
    summary = "One sentence."
    license = "CC-BY-4.0"                   # of the weights, an SPDX name
    default = true                          # what the bare architecture name means
    notes = "## Limits ..."                 # Markdown at the end of the card
    preview_truncation = 0.8
    preview_domain = "both"                 # for models of two domains: source and target twins side by side
    discriminator = false                   # leave it out; the weights then generate, but cannot be trained further
    use = "model.translate(...)"            # lines of Python for the card, if the model does not sample
    preview = "own"                         # the source's preview.png; for models that do not draw from seeds
    reference = "the 5,000 training images" # what the samples were compared with, if --metrics does not say it
    repo_id = "owner/name"                  # once it is on the hub, with
    revision = "40 hexadecimal digits"
    [about.preprocessing]                   # resolution, fit, background
    [[about.data]]                          # name, author, url, license (SPDX), images
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from lowshotgan.errors import ConfigError, LowshotganError
from lowshotgan.hub.digest import sha256_file
from lowshotgan.hub.files import CARD, CONFIG, DISCRIMINATOR, MODEL, read_config, write_json
from lowshotgan.hub.manifest import (
    MANIFEST,
    Licenses,
    WeightsEntry,
    WeightsFile,
    dump_manifest,
    load_manifest,
)

ROOT = Path(__file__).resolve().parents[1]
PREVIEW = "preview.png"
PREVIEW_SEEDS = range(64)
FROM_ABOUT = ("summary", "default", "base", "repo_id", "revision", "preprocessing")
KNOWN = {"name", "license", "data_licenses", "data", "notes", "recipe", "use", "discriminator", *FROM_ABOUT}
KNOWN |= {"preview", "preview_truncation", "preview_domain", "reference"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", type=Path, help="run folder, or model folder")
    parser.add_argument("--about", type=Path, help="recipe with an [about] table")
    parser.add_argument("--metrics", type=Path, help="what 'lowshotgan evaluate --json' printed, or a list of values")
    parser.add_argument("--weights", type=Path, default=ROOT / "weights", help="where to publish")
    parser.add_argument("--check", action="store_true", help="compare all files with the manifest")
    options = parser.parse_args(arguments)
    if not options.check and (options.source is None or options.about is None):
        parser.error("give SOURCE and --about, or --check")
    try:
        if options.check:
            return check(options.weights)
        entry = publish(options.source, options.about, weights=options.weights, metrics=options.metrics)
    except LowshotganError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.weights / entry.name}: {len(entry.files)} files, {entry.size / 1e6:.1f} MB")
    return 0


def publish(source: Path, recipe: Path, *, weights: Path, metrics: Path | None = None) -> WeightsEntry:
    """Write the folder and its manifest entry.

    Raises:
        ConfigError: if the ``[about]`` table lacks something or does not fit the model.
        WeightsFormatError: if the model's files are damaged.
    """
    about = read_about(recipe)
    folder = source / "model" if (source / "model" / CONFIG).is_file() else source
    if read_config(folder)["arch"] != about["name"].partition(".")[0]:
        raise ConfigError(f"{folder} is a {read_config(folder)['arch']}, but {recipe} names it {about['name']}.")
    measured = tuple(_metrics(metrics, about.get("reference"))) if metrics else ()
    target = weights / about["name"]
    write_halves(folder, target, about)
    extra: dict[str, Any] = {"metrics": measured, "recipe": about.get("recipe", _relative(recipe))}
    if read_config(target)["system"] != "features" and about.get("preview") != "own":
        extra["fingerprint"] = draw_preview(target, about)
    entry = make_entry(target, about, **extra)
    if not (target / CARD).is_file() or target.resolve() != folder.resolve():
        write_card(folder, target, entry, about)
        entry = make_entry(target, about, **extra)
    known = load_manifest(weights / MANIFEST) if (weights / MANIFEST).is_file() else {}
    write_json(weights / MANIFEST, dump_manifest({**known, entry.name: entry}.values()))
    return entry


def read_about(recipe: Path) -> dict[str, Any]:
    """The ``[about]`` table of a recipe, checked for what an entry cannot do without."""
    try:
        about = tomllib.loads(recipe.read_text(encoding="utf-8")).get("about")
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{recipe} cannot be read: {error}.") from error
    missing = [key for key in ("name", "summary", "license", "data") if not (about or {}).get(key)]
    if about is None or missing:
        raise ConfigError(f"{recipe}: the table [about] lacks {', '.join(missing)}; see recipes/publish.py.")
    unknown = sorted(set(about) - KNOWN)
    if unknown:
        raise ConfigError(
            f"{recipe}: [about] has unknown keys {', '.join(unknown)}; known: {', '.join(sorted(KNOWN))}."
        )
    return dict(about)


def write_halves(source: Path, target: Path, about: Mapping[str, Any]) -> None:
    """Copy a model folder, large tensors as float16."""
    from lowshotgan.hub.store import read_tensors, write_model_folder

    wanted = about.get("discriminator", True) and (source / DISCRIMINATOR).is_file()
    judge = read_tensors(source / DISCRIMINATOR) if wanted else None
    kept = {name: source / name for name in (CARD, PREVIEW, "metrics.json") if (source / name).is_file()}
    write_model_folder(
        target,
        read_config(source),
        read_tensors(source / MODEL),
        discriminator=judge,
        extra_files=kept,
        half=True,
        license=about["license"],
    )


def draw_preview(folder: Path, about: Mapping[str, Any]) -> tuple[int, ...]:
    """Draw seeds 0 to 63 of the published files, not selected, and return the fingerprint of seed 0."""
    from lowshotgan.hub.remote import resolve_model
    from lowshotgan.hub.store import image_fingerprint
    from lowshotgan.systems.base import load_system

    model = load_system(resolve_model(folder), name=str(folder))
    takes_it = "truncation" in signature(model.generate).parameters
    options = {"truncation": about.get("preview_truncation", 0.8)} if takes_it else {}
    shown = {"domain": about["preview_domain"]} if "preview_domain" in about else {}
    model.generate(seeds=PREVIEW_SEEDS, **options, **shown).grid(8).save(folder / PREVIEW, optimize=True)
    return image_fingerprint(model.generate(seeds=[0]).tensor[0])


def make_entry(folder: Path, about: Mapping[str, Any], **extra: Any) -> WeightsEntry:
    """The manifest entry of a published folder."""
    data = tuple(about["data"])
    licences = about.get("data_licenses") or sorted({source["license"] for source in data if "license" in source})
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return WeightsEntry(
        name=about["name"],
        system=read_config(folder)["system"],
        files={path.name: WeightsFile(path.stat().st_size, sha256_file(path)) for path in files},
        licenses=Licenses(code="Apache-2.0", weights=about["license"], data=tuple(licences)),
        data=data,
        **{key: about[key] for key in FROM_ABOUT if key in about},
        **extra,
    )


def write_card(source: Path, target: Path, entry: WeightsEntry, about: Mapping[str, Any]) -> None:
    """The source's own README, else one made from the entry."""
    from lowshotgan.hub.card import card_of_entry, render_card

    if (source / CARD).is_file():
        return
    preview = PREVIEW if (target / PREVIEW).is_file() else None
    text = render_card(card_of_entry(entry, preview=preview, notes=about.get("notes", ""), use=about.get("use")))
    (target / CARD).write_text(text, encoding="utf-8")


def check(weights: Path) -> int:
    """Compare every file in ``weights/`` with the manifest; 0 if all agree."""
    if not (weights / MANIFEST).is_file():
        raise ConfigError(f"there is no {weights / MANIFEST}; publish something first.")
    entries = load_manifest(weights / MANIFEST)
    problems = [f"{weights / name} is not in the manifest" for name in _folders(weights) if name not in entries]
    for entry in entries.values():
        folder = weights / entry.name
        found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if not found and entry.repo_id:
            continue  # published on the hub only
        problems += [f"{folder / name} is not in the manifest" for name in sorted(found - set(entry.files))]
        for name, file in entry.files.items():
            if name not in found:
                problems.append(f"{folder / name} is missing")
            elif sha256_file(folder / name, cached=False) != file.sha256:
                problems.append(f"{folder / name} differs from the manifest; publish it again")
    print("\n".join(problems) or f"{len(entries)} entries, all files as recorded")
    return 1 if problems else 0


def _folders(weights: Path) -> list[str]:
    return sorted(path.name for path in weights.iterdir() if path.is_dir())


def _metrics(path: Path, reference: str | None) -> list[dict[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict) and "scores" in content:  # what `lowshotgan evaluate --json` prints
        protocol = content["protocol"]
        told = {"n": protocol["n_fake"], "reference": reference or f"{protocol['n_real']:,} real images"}
        told["protocol"] = protocol["id"]
        kept = [score for score in content["scores"].values() if score["reliable"]]
        return [{"name": score["name"], "value": round(score["value"], 4), **told} for score in kept]
    listed = content.get("metrics") if isinstance(content, dict) else content
    if not isinstance(listed, list) or not all(
        isinstance(item, dict) and {"name", "value"} <= set(item) for item in listed
    ):
        raise ConfigError(f"{path} must hold a list of objects with at least name and value.")
    return listed


def _relative(path: Path) -> str:
    path = path.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


if __name__ == "__main__":
    sys.exit(main())
