"""Animations from a list of images: GIF and WebP with Pillow, MP4 with the ``video`` extra."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from lowshotgan.checks import positive
from lowshotgan.errors import ConfigError, MissingExtraError

FORMATS = (".gif", ".webp", ".mp4")
SMALLEST_VIDEO = 256  # pixels; players scale small videos badly, so those are enlarged by a whole factor


def check_animation_path(path: str | Path) -> Path:
    """Return the path if an animation can be written to it.

    Raises:
        ConfigError: if the ending is none of ``FORMATS``.
        MissingExtraError: if it is ``.mp4`` and PyAV is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"cannot write an animation to {path}; its name must end in {', '.join(FORMATS)}.")
    if path.suffix.lower() == ".mp4":
        _import_av()
    return path


def write_animation(images: Sequence[Image.Image], path: str | Path, *, fps: float = 20.0) -> Path:
    """Write images as an endless GIF or WebP, or as an H.264 MP4.

    Args:
        images: at least one, all of the same size; RGB.
        path: ends in ``.gif``, ``.webp`` or ``.mp4``; missing folders are made.
        fps: images a second, above 0. GIF rounds the time of an image to 10 ms, as the format does.

    Raises:
        ConfigError: if there is no image or the ending is unknown.
        MissingExtraError: for ``.mp4`` without PyAV.
    """
    path = check_animation_path(path)
    positive("fps", fps)
    if not images:
        raise ConfigError("an animation needs at least one image, got none.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".mp4":
        _write_mp4(images, path, fps)
        return path
    settings: dict[str, Any] = {"quality": 90} if path.suffix.lower() == ".webp" else {"optimize": False}
    rest = list(images[1:])
    images[0].save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, **settings)
    return path


def _write_mp4(images: Sequence[Image.Image], path: Path, fps: float) -> None:
    av = _import_av()
    factor = max(1, -(-SMALLEST_VIDEO // min(images[0].size)))
    width, height = (side * factor // 2 * 2 for side in images[0].size)  # H.264 wants even sides
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("h264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images:
            enlarged = image.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
            for packet in stream.encode(av.VideoFrame.from_image(enlarged)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError('MP4 needs PyAV: pip install "lowshotgan[video]"; or write .webp.') from error
    return av
