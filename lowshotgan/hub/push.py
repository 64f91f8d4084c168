"""A model folder to the Hugging Face hub: one commit, and a card that is there already is never replaced."""

from pathlib import Path
from typing import TYPE_CHECKING

from lowshotgan import __version__
from lowshotgan.errors import ConfigError, WeightsError, WeightsFormatError
from lowshotgan.hub.card import Card, render_card
from lowshotgan.hub.deltas import read_delta
from lowshotgan.hub.files import CARD, CONFIG, DELTA_CONFIG, DELTA_TENSORS, DISCRIMINATOR, MODEL, read_config
from lowshotgan.hub.finetuned import card_fields, public_name
from lowshotgan.hub.tensors import read_tensors

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_UPLOADED = {CONFIG, MODEL, DISCRIMINATOR, DELTA_CONFIG, DELTA_TENSORS, CARD, "LICENSE"}
_UPLOADED |= {"training_args.json", "metrics.json"}
PREVIEW = "preview.png"
_PICTURES = {".png", ".webp", ".jpg"}


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    create_pr: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
    commit_message: str | None = None,
    license: str | None = None,
) -> str:
    """Upload a model or delta folder as one commit; the repository is made if needed.

    Only the files of a model, its card, licence, measurements and pictures are sent, not whatever else lies
    in the folder. Everything is read and checked before the first request.

    Args:
        folder: as ``save_pretrained`` or ``save_delta`` wrote it.
        repo_id: ``owner/name``.
        private: for a repository that is made now; ``None`` leaves it to the account's default.
        create_pr: open a pull request instead of committing to the main branch.
        revision: branch to commit to, made if needed; the main branch by default.
        token: access token; by default the stored one or ``HF_TOKEN``.
        commit_message: by default ``Upload <arch> with lowshotgan <version>``.
        license: SPDX name of the licence you give the weights, for the card; it must agree with that of the base and of
            the training images.

    Returns:
        Address of the commit, or of the pull request.

    Raises:
        ConfigError: if ``repo_id`` is not ``owner/name``, or both ``create_pr`` and ``revision`` are given.
        WeightsFormatError, WeightsNotFoundError: if the folder is not a sound model.
        WeightsError: if the hub refuses.
    """
    folder = Path(folder)
    if repo_id.count("/") != 1 or not all(repo_id.split("/")):
        raise ConfigError(f"repo_id must be 'owner/name', got {repo_id!r}.")
    if create_pr and revision is not None:
        raise ConfigError("create_pr opens its own branch; leave revision out.")
    arch = check_folder(folder)
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="lowshotgan", library_version=__version__)
    message = commit_message or f"Upload {arch} with lowshotgan {__version__}"
    try:
        return _upload(api, folder, repo_id, arch, private, create_pr, revision, message, license)
    except Exception as error:  # the HTTP library below differs between hub versions, and so do its errors
        raise WeightsError(
            f"{folder} was not uploaded to {repo_id}: {type(error).__name__}: {error}\n"
            "Check the name, the connection, and that the token (`hf auth login` or HF_TOKEN) may write "
            "there."
        ) from error


def check_folder(folder: Path) -> str:
    """Read everything a model or delta folder holds, as loading it would.

    Returns:
        Its architecture; ``delta`` for a delta.

    Raises:
        WeightsFormatError, WeightsNotFoundError, DeltaError: if something is missing, damaged or not finite.
    """
    if (folder / DELTA_CONFIG).is_file():
        read_delta(folder)
    if _is_delta(folder):
        return "delta"
    config = read_config(folder)
    if not (folder / MODEL).is_file():
        raise WeightsFormatError(f"{folder} has {CONFIG} but no {MODEL}; save the model again.")
    for name in (MODEL, DISCRIMINATOR):
        if (folder / name).is_file():
            read_tensors(folder / name)
    return str(config["arch"])


def _upload(
    api: "HfApi",
    folder: Path,
    repo_id: str,
    arch: str,
    private: bool | None,
    create_pr: bool,
    revision: str | None,
    message: str,
    license: str | None,
) -> str:
    api.create_repo(repo_id, private=private, exist_ok=True)
    if revision is not None:
        api.create_branch(repo_id, branch=revision, exist_ok=True)
    names = [path.name for path in sorted(folder.iterdir()) if path.is_file() and _is_uploaded(path)]
    card_is_there = api.file_exists(repo_id, CARD, revision=revision)
    if card_is_there:
        names = [name for name in names if name != CARD]
    elif CARD not in names:
        _write_card(folder, repo_id, arch, license)
        names.append(CARD)
    commit = api.upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        allow_patterns=names,
        commit_message=message,
        revision=revision,
        create_pr=create_pr,
    )
    return str(commit.pr_url if create_pr else commit.commit_url)


def _is_delta(folder: Path) -> bool:
    """Whether there is a delta alone; a fine-tuned model may keep its own beside the whole weights."""
    return (folder / DELTA_CONFIG).is_file() and not (folder / CONFIG).is_file()


def _is_uploaded(path: Path) -> bool:
    return not path.name.startswith(".") and (path.name in _UPLOADED or path.suffix in _PICTURES)


def _write_card(folder: Path, repo_id: str, arch: str, license: str | None) -> None:
    delta = read_delta(folder) if (folder / DELTA_CONFIG).is_file() else None
    about = read_config(folder) if (folder / CONFIG).is_file() else {}
    details = about.get("details") or (delta.config.get("details", {}) if delta else {})
    pictures = sorted(path.name for path in folder.iterdir() if path.suffix in _PICTURES)
    base = public_name(delta.base if delta else about.get("base"))
    told = {"base": base} | card_fields(details)
    card = Card(
        name=repo_id.partition("/")[2],
        arch=arch,
        load=f"hf-hub:{repo_id}",
        adapter=_is_delta(folder),
        preview=pictures[0] if pictures else None,
        license=license,
        **told,
    )
    (folder / CARD).write_text(render_card(card), encoding="utf-8")
