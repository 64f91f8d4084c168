"""Decode one image file safely: known formats only, size limits before pixels, errors that name the file."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from lowshotgan.data.preprocess import upright
from lowshotgan.errors import ImageInputError

FORMATS = (
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "ICO",
    "JPEG",
    "JPEG2000",
    "PCX",
    "PNG",
    "PPM",
    "QOI",
    "SGI",
    "TGA",
    "TIFF",
    "WEBP",
)
"""Pillow decoders that are allowed; EPS and WMF are left out because they start other programs."""
MAX_PIXELS = 89_478_485
"""Largest image that is decoded (the limit above which Pillow warns of a decompression bomb)."""
MAX_FILE_BYTES = 512 * 2**20
MULTI_FRAME = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")
"""Formats whose further frames are an animation or pages (MPO only adds previews of the same photograph)."""


@dataclass(frozen=True)
class Decoded:
    """One image, ready to be prepared.

    Attributes:
        image: loaded, first frame, rotated as EXIF says, in the mode it was stored in.
        rotated: whether EXIF asked for a rotation or a flip.
        animated: whether there were more frames or pages.
    """

    image: Image.Image
    rotated: bool = False
    animated: bool = False


def decode_file(path: Path, name: str) -> Decoded:
    """Decode a file; ``name`` is what errors call it.

    Raises:
        ImageInputError: if it is missing, not a regular file, empty, truncated, too large or no image.
    """
    try:
        if not path.is_file():
            raise ImageInputError(_why_no_file(path, name))
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageInputError(f"{name} has {size / 2**20:.0f} MiB; images may have at most 512 MiB. Shrink it.")
        with path.open("rb") as file:
            return decode_stream(file, name)
    except OSError as error:
        raise ImageInputError(f"{name} cannot be opened ({error}); check the path and its permissions.") from error


def decode_bytes(data: bytes, name: str) -> Decoded:
    """Decode the content of a file held in memory; errors as in ``decode_file``."""
    return decode_stream(io.BytesIO(data), name)


def decode_stream(file: BinaryIO, name: str) -> Decoded:
    """Decode an open file from its beginning; errors as in ``decode_file``."""
    head = file.read(512)
    file.seek(0)
    if not head:
        raise ImageInputError(f"{name} is empty (0 bytes); copy or download it again, or remove it.")
    try:
        with Image.open(file, formats=FORMATS) as image:
            check_pixels(image, name)
            animated = image.format in MULTI_FRAME and bool(getattr(image, "is_animated", False))
            image.load()
            return finish(image, animated=animated)
    except UnidentifiedImageError as error:
        raise ImageInputError(f"{name} is not an image that can be read{_guess(head)}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageInputError(_too_large(name, str(error))) from error
    except ImageInputError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, ValueError ... for damaged files
        raise ImageInputError(
            f"{name} is damaged or truncated ({error}); copy or download it again, or remove it."
        ) from error


def check_pixels(image: Image.Image, name: str) -> None:
    """Refuse an image above ``MAX_PIXELS`` before its pixels are decoded."""
    if image.width * image.height > MAX_PIXELS:
        raise ImageInputError(_too_large(name, f"{image.width} x {image.height} pixels"))


def finish(image: Image.Image, *, animated: bool = False) -> Decoded:
    """Rotate a loaded image as EXIF says and detach it from its file."""
    turned, rotated = upright(image)
    return Decoded(turned if rotated else image.copy(), rotated=rotated, animated=animated)


def _too_large(name: str, what: str) -> str:
    return f"{name} is too large to decode safely ({what}; at most {MAX_PIXELS} pixels). Shrink it or remove it."


def _why_no_file(path: Path, name: str) -> str:
    if path.is_symlink():
        return f"{name} is a link that leads nowhere; repair or remove it."
    if path.exists():
        return f"{name} is not a regular file; remove it or pass the images inside it."
    return f"{name} does not exist; check the path."


def _guess(head: bytes) -> str:
    """What a file that is no image seems to be, with the remedy."""
    start = head.lstrip()[:40].lower()
    if start.startswith(b"version https://git-lfs"):
        return ": it is a Git LFS pointer, so run 'git lfs pull' first"
    if start.startswith((b"<!doctype html", b"<html")):
        return ": it is a web page, so the download failed; download it again"
    if start.startswith((b"<svg", b"<?xml", b"%!ps", b"%pdf")):
        return ": it is a vector drawing or document; export it as PNG"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        return ": it is a HEIC photograph; convert it to JPEG or PNG"
    if head.startswith(b"PK\x03\x04"):
        return ": it is a zip archive; give its name the ending .zip and pass it alone"
    return "; convert it to PNG or JPEG, or remove it"
