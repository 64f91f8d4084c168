"""The example images are what their script draws."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from PIL import Image, ImageChops

EXAMPLES = Path(__file__).parents[1] / "examples"
LARGEST_FILE = 20_000  # bytes
TOLERANCE = 8  # grey levels, between releases of Pillow


@pytest.fixture(scope="module")
def script():
    spec = spec_from_file_location("draw_ten_shots", EXAMPLES / "draw_ten_shots.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_ten_small_rgb_files():
    files = sorted((EXAMPLES / "ten-shots").iterdir())
    assert [file.name for file in files] == [f"{number:02d}.png" for number in range(1, 11)]
    for file in files:
        assert file.stat().st_size < LARGEST_FILE
        with Image.open(file) as image:
            assert (image.mode, image.size) == ("RGB", (128, 128))


@pytest.mark.parametrize("number", [2, 8])
def test_the_script_draws_them_again(script, number):
    with Image.open(EXAMPLES / "ten-shots" / f"{number:02d}.png") as image:
        difference = ImageChops.difference(image, script.draw(script.TEN[number - 1]))
    assert max(high for _, high in difference.getextrema()) <= TOLERANCE


def test_ten_different_faces(script):
    assert len(set(script.TEN)) == 10
    assert {face.hair for face in script.TEN} == set(script.HAIR)


def test_neon_is_dark_and_print_is_paper(script):
    corner = {style: script.draw(script.TEN[0], style).getpixel((2, 2)) for style in script.STYLES}
    assert max(corner["neon"]) < 80 and min(corner["print"]) > 200


def test_the_script_writes_a_sheet(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "TEN", script.TEN[:1])
    monkeypatch.setattr("sys.argv", ["draw", "--output", str(tmp_path / "a"), "--sheet", str(tmp_path / "s.png")])
    script.main()
    assert (tmp_path / "a" / "01.png").exists()
    assert (tmp_path / "s.png").exists()
