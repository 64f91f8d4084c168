"""Recordings in whatever the user calls "my sounds": a folder, a zip (read in place), files, objects; names and labels."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from lowshotgan.checks import as_whole
from lowshotgan.data.audio import Sound, decode_sound, read_sound
from lowshotgan.data.decode import MAX_FILE_BYTES
from lowshotgan.data.listing import as_patterns, matches, member_name
from lowshotgan.errors import ConfigError, ImageInputError

ENDINGS = frozenset((".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"))


@dataclass(frozen=True)
class Recording:
    """A sound that is read when it is asked for.

    Attributes:
        name: for messages; the relative path in a folder or zip.
        read: reads it.
    """

    name: str
    read: Callable[[], Sound]

    @property
    def label(self) -> str | None:
        """The folder it lies in; ``None`` at the top."""
        folders = PurePosixPath(self.name).parts[:-1]
        return folders[-1] if folders else None


def open_sounds(
    raw: Any, *, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
) -> list[Recording]:
    """Name the recordings without reading them.

    Args:
        raw: a folder (searched to any depth) or zip, one file, ``Sound`` or ``(samples, rate)``, or a list of those.
        include: of a folder or zip, only what is named: sub-folders, files, or patterns such as ``"*_01.wav"``.
        exclude: of a folder or zip, what is left out, named the same way.

    Raises:
        ImageInputError: if there are none, the zip is damaged, or ``include`` and ``exclude`` leave nothing.
        ConfigError: if they are given for anything but a folder or zip.
    """
    path = Path(raw).expanduser() if isinstance(raw, str | Path) else None
    if path is not None and path.is_dir():
        files = {
            p.relative_to(path).as_posix(): p for p in path.rglob("*") if _is_sound(p.relative_to(path).as_posix())
        }
        found = [Recording(name, partial(read_sound, files[name])) for name in sorted(files)]
    elif path is not None and path.is_file() and zipfile.is_zipfile(path):
        found = _in_zip(path)
    else:
        if include is not None or exclude is not None:
            raise ConfigError("include and exclude are for a folder or zip of recordings; leave them out.")
        entries = [raw] if isinstance(raw, str | Path | Sound) or _is_pair(raw) else _listed(raw)
        found = [Recording(_name(entry, i), partial(_as_sound, entry)) for i, entry in enumerate(entries)]
    if not found:
        raise ImageInputError(f"{path or 'the list'} holds no sound files; put .wav files there.")
    return _chosen(found, as_patterns("include", include), as_patterns("exclude", exclude), str(path))


def _chosen(
    found: list[Recording], include: tuple[str, ...] | None, exclude: tuple[str, ...] | None, where: str
) -> list[Recording]:
    for pattern in include or ():
        if not any(matches(one.name, pattern) for one in found):
            raise ImageInputError(f"{pattern!r} in include matches no recording in {where}; check the names.")
    kept = [one for one in found if include is None or any(matches(one.name, p) for p in include)]
    kept = [one for one in kept if not any(matches(one.name, p) for p in exclude or ())]
    if not kept:
        raise ImageInputError(f"exclude={exclude!r} leaves no recording of {where}; name fewer things.")
    return kept


def _in_zip(path: Path) -> list[Recording]:
    try:
        archive = zipfile.ZipFile(path)  # stays open for as long as its recordings are held
        names = {member_name(info.filename): info for info in archive.infolist()}
        members = {name: info for name, info in sorted(names.items()) if not name.endswith("/") and _is_sound(name)}
    except (zipfile.BadZipFile, OSError) as error:
        raise ImageInputError(f"{path} is not a readable zip ({error}); copy or download it again.") from error
    for info in members.values():
        if info.file_size > MAX_FILE_BYTES or info.flag_bits & 1:
            raise ImageInputError(f"{info.filename} in {path} is encrypted or too large; make a plain zip without it.")
    return [Recording(name, partial(_read_member, archive, info)) for name, info in members.items()]


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Sound:
    try:
        data = archive.read(info)
    except Exception as error:  # zipfile raises BadZipFile, zlib.error, EOFError, RuntimeError ... for damage
        raise ImageInputError(
            f"{info.filename} in {archive.filename} is damaged ({error}); copy the zip again."
        ) from error
    return decode_sound(data, info.filename)


def _is_sound(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in ENDINGS and not any(p.startswith(".") or p == "__MACOSX" for p in path.parts)


def _is_pair(raw: Any) -> bool:
    return isinstance(raw, tuple) and len(raw) == 2 and as_whole(raw[1]) is not None


def _listed(raw: Any) -> list[Any]:
    try:
        return list(raw)
    except TypeError as error:
        raise ImageInputError(
            f"cannot use a {type(raw).__name__} as recordings; pass a folder, zip, file, Sound, (samples, rate), or a "
            "list of those."
        ) from error


def _name(entry: Any, index: int) -> str:
    return Path(entry).as_posix() if isinstance(entry, str | Path) else f"recording {index}"


def _as_sound(entry: Any) -> Sound:
    if isinstance(entry, Sound):
        return entry
    if isinstance(entry, str | Path):
        return read_sound(entry)
    if _is_pair(entry):
        try:
            samples = torch.as_tensor(entry[0], dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ImageInputError(f"the samples of (samples, rate) must be numbers (n,), got {error}.") from error
        return Sound(samples, entry[1])
    raise ImageInputError(
        f"cannot use a {type(entry).__name__} as a recording; pass a path, a Sound or (samples, rate)."
    )


def sounds_of(recordings: Sequence[Recording]) -> Iterator[tuple[str, Sound]]:
    """Name and content of each, read one by one."""
    return ((one.name, one.read()) for one in recordings)
