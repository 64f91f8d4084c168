"""Which names in a folder or archive are images, and which of them ``include`` and ``exclude`` choose."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from lowshotgan.checks import did_you_mean
from lowshotgan.errors import ConfigError, ImageInputError


def _endings(text: str) -> frozenset[str]:
    return frozenset("." + ending for ending in text.split())


IMAGE_ENDINGS = _endings(
    "jpg jpeg jpe jfif png apng gif webp bmp dib tif tiff ppm pgm pbm pnm tga ico jp2 j2k avif mpo qoi pcx sgi"
)
UNREADABLE_ENDINGS = _endings("heic heif svg psd eps ai pdf raw cr2 cr3 nef arw dng orf rw2 exr hdr xcf jxl")
"""Pictures that Pillow alone cannot decode safely."""
VIDEO_ENDINGS = _endings("mp4 mov avi mkv webm m4v mpg mpeg wmv")
ARCHIVE_ENDINGS = _endings("zip tar gz tgz bz2 xz 7z rar tfrecord tfrecords parquet arrow mdb h5")
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")
"""First bytes of the usual formats, asked only for names without an ending."""


def member_name(name: str) -> str:
    """The name of a zip member with ``/`` between folders; some programs on Windows wrote backslashes."""
    return name.replace("\\", "/")


def printable(name: str) -> str:
    """A name with escapes for bytes that are no text, so that it can be written to a report."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def choose_names(
    names: Iterable[str],
    *,
    where: str,
    include: Sequence[str] | None,
    exclude: Sequence[str] | None,
    head: Callable[[str], bytes],
) -> tuple[list[str], Counter[str]]:
    """Sort the names of images in a folder or archive and count what is passed over.

    Args:
        names: relative paths with ``/``.
        where: what holds them, for messages.
        include: keep only names that match one of these (see ``matches``); ``None`` keeps all.
        exclude: drop names that match one of these.
        head: gives the first bytes of a name without an ending.

    Raises:
        ImageInputError: if no image is left, or an entry of ``include`` matches nothing.
    """
    images: list[str] = []
    skipped: Counter[str] = Counter()
    for name in names:
        kind = _kind_to_skip(name, head)
        if kind is None:
            images.append(name)
        else:
            skipped[kind] += 1
    if not images:
        raise ImageInputError(_nothing_found(where, skipped))
    return sorted(_select(images, where, as_patterns("include", include), as_patterns("exclude", exclude))), skipped


def matches(name: str, pattern: str) -> bool:
    """Whether a relative path is, lies under, or as a whole fits (``*``, ``?``, ``[...]``) a pattern."""
    pattern = pattern.strip("/")
    return name == pattern or name.startswith(pattern + "/") or fnmatchcase(name, pattern)


def as_patterns(argument: str, value: object) -> tuple[str, ...] | None:
    """Check ``include`` or ``exclude``; one string counts as one pattern.

    Raises:
        ConfigError: if it holds anything but non-empty strings.
    """
    if value is None:
        return None
    patterns = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    bad = [pattern for pattern in patterns if not isinstance(pattern, str) or not pattern.strip("/")]
    if bad or not patterns:
        raise ConfigError(f'{argument} must name folders, files or patterns like ("cats", "*.png"); got {value!r}.')
    return patterns


def _select(
    images: list[str], where: str, include: tuple[str, ...] | None, exclude: tuple[str, ...] | None
) -> list[str]:
    chosen = set(images)
    if include is not None:
        found = {pattern: {name for name in images if matches(name, pattern)} for pattern in include}
        for pattern, hits in found.items():
            if not hits:
                raise ImageInputError(_no_match(where, pattern, images))
        chosen = set().union(*found.values())
    left = [name for name in chosen if not any(matches(name, pattern) for pattern in exclude or ())]
    if not left:
        raise ImageInputError(f"exclude={exclude!r} leaves no image of {where}; name fewer things.")
    return left


def _kind_to_skip(name: str, head: Callable[[str], bytes]) -> str | None:
    path = PurePosixPath(name)
    if any(part.startswith(".") or part == "__MACOSX" for part in path.parts) or path.name == "Thumbs.db":
        return "hidden"
    ending = path.suffix.lower()
    if ending in IMAGE_ENDINGS or (not ending and head(name).startswith(MAGIC)):
        return None
    return ending or "without ending"


def _nothing_found(where: str, skipped: Counter[str]) -> str:
    if not skipped:
        return f"{where} is empty; put at least one image (PNG, JPEG, WebP ...) there or check the path."
    held = ", ".join(f"{count} x {kind}" for kind, count in skipped.most_common(5))
    return f"{where} holds no image, only {held}. {_remedy(set(skipped))}"


def _remedy(kinds: set[str]) -> str:
    if kinds & UNREADABLE_ENDINGS:
        return "Convert the pictures to PNG or JPEG."
    if kinds & VIDEO_ENDINGS:
        return "Cut frames out of the videos first, for example: ffmpeg -i video.mp4 -vf fps=1 frame%04d.png"
    if kinds & ARCHIVE_ENDINGS:
        return "Unpack the archives, or pass one zip by its own path."
    return "Pass a folder or zip with PNG, JPEG or WebP files."


def _no_match(where: str, pattern: str, images: list[str]) -> str:
    folders = sorted({name.rsplit("/", 1)[0] for name in images if "/" in name})
    hint = did_you_mean(pattern, folders + images)
    known = f" It has the folders {', '.join(folders[:12])}." if folders else " It has no sub-folders."
    return f"{pattern!r} in include matches no image in {where}.{hint}{known}"
