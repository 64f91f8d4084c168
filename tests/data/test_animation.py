"""Animations: number, time and size of frames; endings and missing extras are explained before anything is written."""

import sys

import pytest
from PIL import Image

from lowshotgan.data.animation import SMALLEST_VIDEO, check_animation_path, write_animation
from lowshotgan.errors import ConfigError, MissingExtraError


@pytest.fixture
def frames():
    return [Image.new("RGB", (16, 16), (40 * i, 0, 255 - 40 * i)) for i in range(6)]


@pytest.mark.parametrize("ending", ["gif", "webp", "GIF"])
def test_frames_and_times(frames, tmp_path, ending):
    path = write_animation(frames, tmp_path / "new" / f"walk.{ending}", fps=20)
    with Image.open(path) as image:
        assert image.n_frames == len(frames)
        assert image.size == (16, 16)
        assert image.info["loop"] == 0
        times = []
        for i in range(image.n_frames):
            image.seek(i)
            image.load()
            times.append(image.info["duration"])
    assert times == [50] * len(frames)


def test_one_image_is_enough(frames, tmp_path):
    assert write_animation(frames[:1], tmp_path / "one.gif").stat().st_size > 0


@pytest.mark.parametrize("name", ["walk.avi", "walk", "walk.gif.zip"])
def test_unknown_ending(frames, tmp_path, name):
    with pytest.raises(ConfigError, match=r"\.gif, \.webp, \.mp4"):
        write_animation(frames, tmp_path / "new" / name)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_unusable_rate(frames, tmp_path, fps):
    with pytest.raises(ConfigError, match="fps"):
        write_animation(frames, tmp_path / "walk.gif", fps=fps)


def test_no_images(tmp_path):
    with pytest.raises(ConfigError, match="at least one image"):
        write_animation([], tmp_path / "walk.gif")


def test_mp4_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r'pip install "lowshotgan\[video\]"'):
        check_animation_path("walk.mp4")


@pytest.mark.filterwarnings("default")
def test_mp4(frames, tmp_path):
    av = pytest.importorskip("av", reason='pip install "lowshotgan[video]"')
    path = write_animation(frames, tmp_path / "walk.mp4", fps=12.5)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoded = list(container.decode(stream))
        assert (stream.width, stream.height) == (SMALLEST_VIDEO, SMALLEST_VIDEO)
        assert float(stream.average_rate) == 12.5
    assert len(decoded) == len(frames)
    red, _, blue = decoded[5].to_image().getpixel((128, 128))
    assert abs(red - 200) < 12
    assert abs(blue - 55) < 12
