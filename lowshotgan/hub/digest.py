"""SHA-256 of files, remembered by size and time so that a load need not read twice. Imports no torch."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from lowshotgan.errors import WeightsHashError

_CHUNK = 1 << 20


def sha256_file(path: str | Path, *, cached: bool = True) -> str:
    """SHA-256 of a file as 64 lower-case hexadecimal digits.

    A stamp in the user's cache folder (``$XDG_CACHE_HOME/lowshotgan/stamps``) remembers the digest together
    with the file's size, modification time and change time; as long as these agree the file is not read
    again.

    Args:
        path: an existing file.
        cached: ``False`` reads the file whatever the stamp says, and writes a new stamp.

    Raises:
        OSError: if the file cannot be read.
    """
    real = Path(path).resolve()
    state = _file_state(real)
    stamp = _stamp_path(real)
    known = _read_stamp(stamp) if cached else None
    if known is not None and known.get("state") == state and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    digest = _hash(real)
    if _file_state(real) == state:  # otherwise it was being written while it was read
        _write_stamp(stamp, {"path": str(real), "state": state, "sha256": digest})
    return digest


def check_sha256(path: str | Path, expected: str, *, repair: str, cached: bool = True) -> None:
    """Compare a file with the digest recorded for it.

    Args:
        path: an existing file.
        expected: 64 hexadecimal digits.
        repair: what the reader should do, the last sentence of the message.
        cached: as for ``sha256_file``.

    Raises:
        WeightsHashError: if they differ.
    """
    found = sha256_file(path, cached=cached)
    if found != expected:
        raise WeightsHashError(
            f"{path} has SHA-256 {found[:16]}..., but {expected[:16]}... is recorded for it: the file is "
            f"damaged, changed or of another version, and was not loaded. {repair}"
        )


def user_cache() -> Path:
    """Folder for files that may be deleted: ``$XDG_CACHE_HOME/lowshotgan``, else ``~/.cache/lowshotgan``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lowshotgan"


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _file_state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _stamp_path(path: Path) -> Path:
    return user_cache() / "stamps" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"


def _read_stamp(stamp: Path) -> dict[str, object] | None:
    try:
        found = json.loads(stamp.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_stamp(stamp: Path, content: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # a read-only home only costs the next load some time
        stamp.parent.mkdir(parents=True, exist_ok=True)
        part = stamp.with_name(f"{stamp.name}.{os.getpid()}")
        part.write_text(json.dumps(content))
        os.replace(part, stamp)
