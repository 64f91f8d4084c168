"""Images of every kind on disk."""

import numpy as np
import pytest
from PIL import Image

from lowshotgan.data.images import to_pil
from lowshotgan.data.synthetic import faces


@pytest.fixture(scope="session")
def drawings():
    """Twelve different RGB drawings of 48 px."""
    return to_pil(faces(12, resolution=48))


@pytest.fixture
def folder(tmp_path, drawings):
    """Folder with drawings in ``a/`` (0 to 5), ``b/`` (6 to 8) and at the top (9), and files that are no images."""
    root = tmp_path / "pictures"
    for name in ("a", "b/deep", ".hidden", "__MACOSX"):
        (root / name).mkdir(parents=True)
    for index, drawing in enumerate(drawings[:10]):
        place = "a" if index < 6 else "b/deep" if index < 9 else "."
        drawing.save(root / place / f"{index:02d}.png")
    (root / "labels.csv").write_text("file,label\n")
    (root / "a" / "notes.TXT").write_text("hello")
    (root / ".DS_Store").write_bytes(b"\0\0\0\1")
    drawings[10].save(root / ".hidden" / "thumb.png")
    (root / "__MACOSX" / "._00.png").write_bytes(b"\0\5\26\7")
    return root


@pytest.fixture
def mixed(tmp_path):
    """One image of each awkward kind, by name."""
    root = tmp_path / "mixed"
    root.mkdir()
    drawings = to_pil(faces(12, resolution=48))  # its own, because saving leaves traces in PIL images
    first = drawings[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    first.resize((40, 30)).save(root / "exif.jpg", exif=exif)
    first.convert("L").save(root / "grey.png")
    first.convert("P").save(root / "palette.png")
    first.convert("1").save(root / "bilevel.tif")
    first.convert("CMYK").save(root / "cmyk.jpg")
    alpha = drawings[1].convert("RGBA")
    alpha.putalpha(100)
    alpha.save(root / "alpha.png")
    grey = np.asarray(drawings[2].convert("L"), dtype=np.uint16)
    Image.fromarray(grey * 257).save(root / "sixteen.png")
    drawings[3].save(root / "animated.gif", save_all=True, append_images=drawings[4:6], duration=100)
    drawings[4].save(root / "animated.webp", save_all=True, append_images=drawings[5:7], duration=100)
    drawings[7].save(root / "pages.tiff", save_all=True, append_images=drawings[8:9])
    drawings[9].resize((90, 30)).save(root / "wide.bmp")
    drawings[10].resize((3, 2)).save(root / "tiny.png")
    drawings[11].save(root / "UPPER.JPEG", quality=95)
    return root
