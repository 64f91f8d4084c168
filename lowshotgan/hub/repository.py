"""Files of a Hugging Face hub repository through huggingface_hub's public functions, without its long wait
offline.

Asking the hub for an uncached file without a network takes huggingface_hub about 24 s of retries; one request
without retries is sent first, so that a missing network is noticed at once.
"""

import os
import re
from pathlib import Path

from lowshotgan import __version__
from lowshotgan.errors import ConfigError, WeightsNotFoundError
from lowshotgan.hub.digest import check_sha256

LIBRARY = "lowshotgan"

_PROBE_SECONDS = 10.0


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids the network, as set now or when huggingface_hub was imported."""
    from huggingface_hub import is_offline_mode

    return is_offline_mode() or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def cache_folder() -> Path:
    """The hub's cache (``HF_HUB_CACHE``, ``HF_HOME``)."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def cached(repo_id: str, filename: str, *, revision: str | None = None) -> Path | None:
    """The file in the hub's cache, or ``None``; never uses the network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo_id, filename, revision=revision)
    return Path(found) if isinstance(found, str) else None


def commit_of(path: Path) -> str | None:
    """The commit a cached file belongs to (its snapshot folder's name), or ``None``."""
    return path.parent.name if re.fullmatch(r"[0-9a-f]{40}", path.parent.name) else None


def fetch(
    repo_id: str,
    filename: str,
    *,
    revision: str | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    force: bool = False,
) -> Path:
    """One file of a repository, from the hub's cache or the hub.

    A commit hash that is cached needs no network; a branch or tag is looked up, and falls back to the cache
    when the hub cannot be reached.

    Args:
        repo_id: ``owner/name``.
        filename: within the repository.
        revision: branch, tag or commit; the main branch by default.
        local_files_only: use the cache only.
        token: for private repositories; by default the stored one.
        force: download again even if it is cached.

    Raises:
        WeightsNotFoundError: if the repository, revision or file does not exist or cannot be reached.
        WeightsHashError: if the cached file is not the one that was downloaded.
        ConfigError: if ``repo_id`` is not a repository's name.
    """
    have = cached(repo_id, filename, revision=revision)
    if local_files_only or is_offline():
        if have is None:
            raise WeightsNotFoundError(_missing_offline(repo_id, filename, revision, local_files_only))
        return _checked(have, repo_id)
    path = _from_hub(repo_id, filename, revision, token, force=force, probe=have is None)
    return _checked(path, repo_id)


def is_interrupted(error: WeightsNotFoundError) -> bool:
    """Whether ``fetch`` raised it because the hub could not be asked, rather than because it has no such file."""
    from huggingface_hub import errors

    cause = error.__cause__
    answered = isinstance(cause, errors.EntryNotFoundError) and not isinstance(cause, errors.LocalEntryNotFoundError)
    return cause is not None and not answered


def _from_hub(
    repo_id: str, filename: str, revision: str | None, token: str | bool | None, *, force: bool, probe: bool
) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HFValidationError

    try:
        if probe:
            url = hf_hub_url(repo_id, filename, revision=revision)
            get_hf_file_metadata(
                url, token=token, timeout=_PROBE_SECONDS, library_name=LIBRARY, library_version=__version__
            )
        found = hf_hub_download(
            repo_id,
            filename,
            revision=revision,
            token=token,
            force_download=force,
            library_name=LIBRARY,
            library_version=__version__,
        )
    except HFValidationError as error:
        raise ConfigError(f"{repo_id!r} is no repository's name ({error}); write 'hf-hub:owner/name'.") from error
    except Exception as error:  # the HTTP library below differs between hub versions, and so do its errors
        raise WeightsNotFoundError(_why(error, repo_id, filename, revision)) from error
    return Path(found)


def _why(error: Exception, repo_id: str, filename: str, revision: str | None) -> str:
    from huggingface_hub import errors

    where = f"the hub repository {repo_id} (revision {revision or 'main'})"
    if isinstance(error, errors.GatedRepoError):
        return f"{where} is gated; accept its terms on its page, then run `hf auth login` or set HF_TOKEN."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"there is no repository {repo_id} on the hub, or it is private; check the name, or set HF_TOKEN."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo_id} has no revision {revision!r}; give a branch, tag or commit that its page lists."
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return f"{where} has no {filename}; it does not hold such a model, or another file name is meant."
    return (
        f"{filename} of {where} could not be fetched ({type(error).__name__}: "
        f"{str(error).splitlines()[0][:200]}) and is not in the cache {cache_folder()}. Check the connection "
        f"and HF_ENDPOINT, or load a folder with 'local-dir:PATH'."
    )


def _missing_offline(repo_id: str, filename: str, revision: str | None, local_files_only: bool) -> str:
    reason = "local_files_only=True" if local_files_only else "HF_HUB_OFFLINE is set"
    return (
        f"{filename} of {repo_id} (revision {revision or 'main'}) is not in the hub cache {cache_folder()}, "
        f"and downloads are off ({reason}). Load it once with a network, or load a folder with "
        "'local-dir:PATH'."
    )


def _checked(path: Path, repo_id: str) -> Path:
    """Large files are cached under their SHA-256, which shows whether they are still what was downloaded."""
    blob = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", blob):
        check_sha256(path, blob, repair=f"Delete {path.resolve()} and load {repo_id} again.")
    return path
