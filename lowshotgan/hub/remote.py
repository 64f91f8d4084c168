"""From the name of a model to files on this disk: local places first, the hub last, every file checked.

A name means, in this order of spelling:

    stylegan2_64.avatars_v1      an entry of the manifest (or an architecture, for its default entry)
    local-dir:PATH               a model folder, or the folder of a training run
    hf-hub:owner/name[@REV]      a repository on the Hugging Face hub

``bare=True`` (``from_pretrained``) also takes a folder and a plain ``owner/name``; ``load`` takes a folder that
exists, but asks the hub only for what is spelled ``hf-hub:``. Entries are looked for in
``$LOWSHOTGAN_WEIGHTS_DIR``, inside the package, in the checkout, in the hub's cache and, unless that is forbidden,
on the hub at the pinned commit. Imports no torch.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lowshotgan.errors import ConfigError, WeightsNotFoundError
from lowshotgan.hub import manifest, repository
from lowshotgan.hub.digest import check_sha256, sha256_file
from lowshotgan.hub.files import CONFIG, DISCRIMINATOR, MODEL, plain_name
from lowshotgan.hub.manifest import WeightsEntry, get_entry
from lowshotgan.messages import warn

WEIGHTS_DIR = "LOWSHOTGAN_WEIGHTS_DIR"
"""Environment variable: folders (separated as in ``PATH``) that hold ``<arch>.<tag>/`` folders."""

_REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"


@dataclass(frozen=True)
class Reference:
    """What a name means: exactly one of ``entry``, ``folder`` and ``repo_id`` is set."""

    entry: WeightsEntry | None = None
    folder: Path | None = None
    repo_id: str | None = None
    revision: str | None = None

    @property
    def name(self) -> str:
        """The unmistakable spelling."""
        if self.entry is not None:
            return self.entry.name
        if self.repo_id is None:
            return str(self.folder)
        return f"hf-hub:{self.repo_id}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model on this disk, all from one place and one revision.

    Attributes:
        config: path of ``config.json``.
        model: path of ``model.safetensors``.
        discriminator: path of ``discriminator.safetensors``; ``None`` if not asked for or not there.
        entry: the manifest's entry, if the name was one.
        revision: the commit, if the files came from a repository.
        name: what ``load`` finds the same model under.
    """

    config: Path
    model: Path
    discriminator: Path | None = None
    entry: WeightsEntry | None = None
    revision: str | None = None
    name: str = ""


def resolve(
    name_or_path: str | Path,
    *,
    filename: str = MODEL,
    local_files_only: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
    bare: bool = False,
) -> Path:
    """One file of a model, on this disk and checked.

    Args:
        name_or_path: see the module; a ``Path`` is a model folder (or the file itself).
        filename: which file of the model.
        local_files_only: look in local places and caches only.
        revision: branch, tag or commit of a repository; entries of the manifest are pinned and take none.
        token: for private repositories; by default the stored one.
        bare: also accept an existing folder and ``owner/name``.

    Returns:
        Path of an existing file. For an entry of the manifest its SHA-256 is the recorded one.

    Raises:
        ConfigError: if the name can be read in two ways, or is none.
        WeightsNotFoundError: if no place has the file; the message lists the places and the command that
            helps.
        WeightsHashError: if a file differs from what was published.
    """
    plain_name(filename)
    reference = parse_reference(name_or_path, revision=revision, bare=bare)
    return _find(reference, filename, local_files_only=local_files_only, token=token)


def resolve_model(
    name_or_path: str | Path,
    *,
    discriminator: bool = False,
    local_files_only: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
    bare: bool = False,
) -> ModelFiles:
    """Configuration and weights of a model, all of one revision; arguments and errors as for ``resolve``.

    Args:
        discriminator: also look for the discriminator; a model without one gives ``None``, and so does, with a warning, a
            repository that could not be asked.
    """
    reference = parse_reference(name_or_path, revision=revision, bare=bare)
    config = _find(reference, CONFIG, local_files_only=local_files_only, token=token)
    if reference.repo_id is not None:  # a branch may move between two downloads, its commit cannot
        commit = repository.commit_of(config) or reference.revision
        reference = Reference(repo_id=reference.repo_id, revision=commit)
    model = _find(reference, MODEL, local_files_only=local_files_only, token=token)
    found = None
    if discriminator and not (reference.entry and DISCRIMINATOR not in reference.entry.files):
        try:
            found = _find(reference, DISCRIMINATOR, local_files_only=local_files_only, token=token)
        except WeightsNotFoundError as error:
            if reference.entry is not None:
                raise
            if repository.is_interrupted(error):
                warn(f"{reference.name} was loaded without its discriminator, which fine-tuning may need: {error}")
    return ModelFiles(config, model, found, reference.entry, reference.revision, reference.name)


def download(name: str, to: str | Path | None = None, *, local_files_only: bool = False) -> Path:
    """Put every file of a manifest entry into a folder, from the nearest place whose copy is intact.

    Args:
        name: ``<arch>.<tag>``, or an architecture for its default entry.
        to: the files go to ``to/<arch>.<tag>/``, ready for ``$LOWSHOTGAN_WEIGHTS_DIR``; ``None`` leaves them
            where they are found, downloading into the hub's cache if need be.
        local_files_only: copy only, download nothing.

    Returns:
        The folder that holds the files.

    Raises:
        WeightsNotFoundError: if a file can be had nowhere.
        WeightsHashError: if what the hub sent is not what was published.
    """
    entry = get_entry(name)
    if to is None:
        return [_find_entry(entry, file, local_files_only, None) for file in sorted(entry.files)][-1].parent
    folder = Path(to).expanduser() / entry.name
    folder.mkdir(parents=True, exist_ok=True)
    for file, about in entry.files.items():
        target = folder / file
        if target.is_file() and sha256_file(target) == about.sha256:
            continue
        source = _intact_copy(entry, file) or _fetch(entry, file, local_files_only, None, force=True)
        part = target.with_name(f".{file}.{os.getpid()}.part")
        shutil.copyfile(source, part)
        os.replace(part, target)
    return folder


def parse_reference(name: str | Path, *, revision: str | None = None, bare: bool = False) -> Reference:
    """What a name means (see the module); touches no file except to see whether a folder exists.

    Raises:
        ConfigError: if the name can be read in two ways, or ``revision`` does not apply.
        WeightsNotFoundError: if it is no entry of the manifest, or its folder does not exist.
    """
    if isinstance(name, Path) or name.startswith("local-dir:"):
        return _local(Path(name) if isinstance(name, Path) else Path(name.removeprefix("local-dir:")), revision)
    if name.startswith("hf-hub:"):
        return _hub(name.removeprefix("hf-hub:"), revision)
    looks_like_path = re.fullmatch(_REPOSITORY, name) is None and bool(re.search(r"[/\\~]|^\.", name))
    if bare and (looks_like_path or Path(name).is_dir()):
        return _local(Path(name), revision)
    if bare and "/" in name:
        return _hub(name, revision)
    if looks_like_path or "/" in name or ":" in name:
        missing = "" if Path(name).expanduser().exists() else ", and there is no such folder here"
        raise ConfigError(
            f"{name!r} could be a folder or a hub repository{missing}; write 'local-dir:{name}' for the folder or "
            "'hf-hub:owner/name' for a repository. Published weights have names such as "
            "stylegan2_64.avatars_v1."
        )
    entry = get_entry(name)
    if revision is not None and revision != entry.revision:
        raise ConfigError(
            f"{entry.name} is pinned to revision {entry.revision} by this version of lowshotgan; for another "
            f"one write 'hf-hub:{entry.repo_id or 'owner/name'}' and pass revision={revision!r}."
        )
    return Reference(entry=entry, revision=entry.revision)


def places(entry: WeightsEntry) -> list[Path]:
    """Local folders an entry is looked for in, first to last."""
    listed = [part for part in os.environ.get(WEIGHTS_DIR, "").split(os.pathsep) if part]
    return [
        folder / entry.name for folder in [*(Path(part).expanduser() for part in listed), *manifest.weights_folders()]
    ]


def _local(path: Path, revision: str | None) -> Reference:
    if revision is not None:
        raise ConfigError(f"revision={revision!r} needs a hub repository, but {path} is a folder; leave it out.")
    path = path.expanduser()
    if (path / "model" / CONFIG).is_file() and not (path / MODEL).is_file():
        path /= "model"  # the folder of a training run, which keeps its final model there
    if not path.exists():
        raise WeightsNotFoundError(
            f"there is no folder {path}. For a repository write 'hf-hub:owner/name'; `lowshotgan list` names "
            f"the published weights."
        )
    return Reference(folder=path)


def _hub(text: str, revision: str | None) -> Reference:
    repo_id, _, given = text.partition("@")
    if not re.fullmatch(_REPOSITORY, repo_id) or ".." in repo_id:
        raise ConfigError(f"a hub repository is 'hf-hub:owner/name' or 'hf-hub:owner/name@revision', got {text!r}.")
    if given and revision is not None and given != revision:
        raise ConfigError(f"two revisions were given, {given!r} and {revision!r}; leave one out.")
    return Reference(repo_id=repo_id, revision=given or revision)


def _find(reference: Reference, filename: str, *, local_files_only: bool, token: str | bool | None) -> Path:
    if reference.entry is not None:
        return _find_entry(reference.entry, filename, local_files_only, token)
    if reference.folder is not None:
        return _find_in_folder(reference.folder, filename)
    assert reference.repo_id is not None
    return repository.fetch(
        reference.repo_id,
        filename,
        revision=reference.revision,
        local_files_only=local_files_only,
        token=token,
    )


def _find_in_folder(folder: Path, filename: str) -> Path:
    path = folder if folder.is_file() and folder.name == filename else folder / filename
    if not path.is_file():
        raise WeightsNotFoundError(
            f"{folder} has no {filename}; a model folder holds {CONFIG} and {MODEL}, as save_pretrained() writes them."
        )
    return path


def _find_entry(entry: WeightsEntry, filename: str, local_files_only: bool, token: str | bool | None) -> Path:
    if filename not in entry.files:
        raise WeightsNotFoundError(f"{entry.name} has no {filename}; it has {', '.join(sorted(entry.files))}.")
    for place, path in _copies(entry, filename):
        check_sha256(path, entry.files[filename].sha256, repair=_repair(entry, place, path))
        return path
    return _fetch(entry, filename, local_files_only, token)


def _copies(entry: WeightsEntry, filename: str) -> Iterator[tuple[Literal["folder", "cache"], Path]]:
    for folder in places(entry):
        if (folder / filename).is_file():
            yield "folder", folder / filename
    if entry.repo_id is not None and entry.revision is not None:
        cached = repository.cached(entry.repo_id, filename, revision=entry.revision)
        if cached is not None:
            yield "cache", cached


def _intact_copy(entry: WeightsEntry, filename: str) -> Path | None:
    for _, path in _copies(entry, filename):
        if sha256_file(path) == entry.files[filename].sha256:
            return path
    return None


def _fetch(
    entry: WeightsEntry,
    filename: str,
    local_files_only: bool,
    token: str | bool | None,
    *,
    force: bool = False,
) -> Path:
    if entry.repo_id is None or local_files_only or repository.is_offline():
        raise WeightsNotFoundError(_not_found(entry, filename, local_files_only))
    path = repository.fetch(entry.repo_id, filename, revision=entry.revision, token=token, force=force)
    repair = f"The repository {entry.repo_id} was changed or the transfer was tampered with; report it."
    check_sha256(path, entry.files[filename].sha256, repair=repair, cached=False)
    return path


def _not_found(entry: WeightsEntry, filename: str, local_files_only: bool) -> str:
    searched = [str(folder) for folder in places(entry)]
    if entry.repo_id is None:
        why = "These weights are not on the hub; they come with a checkout of the library"
    else:
        searched.append(f"the hub cache ({repository.cache_folder()}, {entry.repo_id} at {entry.revision})")
        why = "Downloads are off: " + ("local_files_only=True" if local_files_only else "HF_HUB_OFFLINE is set")
    return (
        f"{filename} of {entry.name} was not found. Searched: {'; '.join(searched)}. {why}. On a machine "
        f"that has them run `lowshotgan download {entry.name} --to DIR`, then set {WEIGHTS_DIR}=DIR here."
    )


def _repair(entry: WeightsEntry, place: str, path: Path) -> str:
    if place == "cache":
        return f"Delete {path}, or run `lowshotgan download {entry.name} --to DIR` and set {WEIGHTS_DIR}=DIR."
    return f"Run `lowshotgan download {entry.name} --to {path.parent.parent}` to replace it."
