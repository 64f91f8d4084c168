"""Images in a folder (searched to any depth) and in a zip archive (read in place, never unpacked)."""

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lowshotgan.data.base import Source
from lowshotgan.data.decode import MAX_FILE_BYTES, Decoded, decode_bytes, decode_file
from lowshotgan.data.listing import choose_names, member_name, printable
from lowshotgan.errors import ImageInputError

PLAIN_RATIO = 200
"""Members above ``PLAIN_BYTES`` that unpack to more than 200 times their size are refused."""
PLAIN_BYTES = 16 * 2**20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


class FolderSource(Source):
    """All image files below a folder, sorted by relative path; links are followed, a folder is visited once.

    Raises:
        ImageInputError: if there is no image, or ``include`` matches nothing.
    """

    def __init__(
        self, folder: Path, *, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
    ) -> None:
        self.folder = folder
        self.description = f"folder {folder}"
        self._names, self.skipped = choose_names(
            _walk(folder), where=self.description, include=include, exclude=exclude, head=self._head
        )

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        return printable(self._names[index])

    def decode(self, index: int) -> Decoded:
        path = self.folder / self._names[index]
        return decode_file(path, printable(str(path)))

    def _head(self, name: str) -> bytes:
        path = self.folder / name
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(8)


def _walk(folder: Path) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()
    for current, directories, files in os.walk(folder, followlinks=True, onerror=_refuse):
        where = os.stat(current)
        if (where.st_dev, where.st_ino) in seen:  # a link led back to a folder that was visited already
            directories.clear()
            continue
        seen.add((where.st_dev, where.st_ino))
        directories[:] = sorted(name for name in directories if not name.startswith(".") and name != "__MACOSX")
        yield from (Path(current, name).relative_to(folder).as_posix() for name in files)


def _refuse(error: OSError) -> None:
    raise ImageInputError(f"folder {error.filename} cannot be read ({error.strerror}); check its permissions.")


class ZipSource(Source):
    """All image members of a zip archive, sorted by name and read in place.

    Raises:
        ImageInputError: if the archive is damaged, encrypted, unsafe (a member that points outside it, or
            unpacks to far more than its size), or holds no image.
    """

    def __init__(
        self, path: Path, *, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
    ) -> None:
        self.path = path
        self.description = f"zip {path}"
        self._archive: zipfile.ZipFile | None = None
        self._process = -1
        links, members = self._members()
        names, skipped = choose_names(
            members,
            where=self.description,
            include=include,
            exclude=exclude,
            head=lambda name: self._head(members[name]),
        )
        self._names, self._infos = names, [members[name] for name in names]
        self.skipped = skipped + Counter({"link": links} if links else {})
        for info in self._infos:
            self._check(info)

    def __len__(self) -> int:
        return len(self._infos)

    def name(self, index: int) -> str:
        return self._names[index]

    def decode(self, index: int) -> Decoded:
        info = self._infos[index]
        name = f"{info.filename} in {self.path}"
        try:
            data = self._open().read(info)
        except Exception as error:  # zipfile raises BadZipFile, zlib.error, EOFError, RuntimeError ... for damage
            raise ImageInputError(f"{name} is damaged ({error}); copy or download the zip again.") from error
        return decode_bytes(data, name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_archive": None, "_process": -1}

    def _open(self) -> zipfile.ZipFile:
        """The archive, opened once per process, because a forked one would share the file position."""
        if self._archive is None or self._process != os.getpid():
            try:
                self._archive, self._process = zipfile.ZipFile(self.path), os.getpid()
            except (zipfile.BadZipFile, OSError, ValueError) as error:
                raise ImageInputError(
                    f"{self.path} is not a readable zip ({error}); copy or download it again."
                ) from error
        return self._archive

    def _members(self) -> tuple[int, dict[str, zipfile.ZipInfo]]:
        links, members = 0, {}
        for info in self._open().infolist():
            if _leads_outside(info.filename):
                raise ImageInputError(
                    f"{self.path} holds the member {info.filename!r}, which points outside the archive; "
                    "it may be malicious. Make a new zip from the images."
                )
            if stat.S_ISLNK(info.external_attr >> 16):
                links += 1
            elif not (name := member_name(info.filename)).endswith("/"):
                members[name] = info
        return links, members

    def _check(self, info: zipfile.ZipInfo) -> None:
        name, size = f"{info.filename} in {self.path}", info.file_size
        if info.flag_bits & 1:
            raise ImageInputError(f"{name} is encrypted; make a zip without a password.")
        if info.compress_type not in METHODS:
            raise ImageInputError(f"{name} uses compression method {info.compress_type}; make a plain zip.")
        if size > MAX_FILE_BYTES or (size > PLAIN_BYTES and size > PLAIN_RATIO * max(info.compress_size, 1)):
            raise ImageInputError(
                f"{name} would unpack from {info.compress_size} to {size} bytes and looks like a zip bomb; "
                "remove it from the archive."
            )

    def _head(self, info: zipfile.ZipInfo) -> bytes:
        if info.flag_bits & 1 or info.compress_type not in METHODS:
            return b""
        try:
            with self._open().open(info) as file:
                return file.read(8)
        except Exception:  # damaged, so it cannot be told to be an image; see decode for the errors
            return b""


def _leads_outside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or (len(name) > 1 and name[1] == ":")
