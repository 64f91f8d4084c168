"""Toy packs, a toy extractor and a toy base; the benchmarks are imported as their scripts import each other."""

import gzip
import io
import json
import struct
import sys
import zipfile
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from lowshotgan.data.images import to_pil  # noqa: E402
from lowshotgan.data.synthetic import faces  # noqa: E402
from lowshotgan.metrics.extractors import extractor_from_module, register_extractor  # noqa: E402
from lowshotgan.nets.features import FeatureNet  # noqa: E402
from lowshotgan.systems.stylegan2.config import StyleGAN2Config  # noqa: E402
from lowshotgan.systems.stylegan2.system import StyleGAN2  # noqa: E402

SIDE = 16
TENSHOT = [f"big-ears/{number:04d}.png" for number in (5, 3, 8)]


@pytest.fixture(scope="session")
def packs(tmp_path_factory):
    """A folder with a few drawn faces in the layout of the packs."""
    folder = tmp_path_factory.mktemp("packs")
    drawn = to_pil(faces(24, resolution=SIDE))
    with zipfile.ZipFile(folder / "avatars_styles_128.zip", "w") as archive:
        archive.writestr("tenshot.json", json.dumps({"big-ears": TENSHOT}))
        for number in range(12):
            write_png(archive, f"big-ears/{number:04d}.png", drawn[number])
            write_png(archive, f"micah/{number:04d}.png", drawn[number + 12])
    with zipfile.ZipFile(folder / "pet_faces_128.zip", "w") as archive:
        breeds = {"akita": "dog", "bengal": "cat", "boxer": "dog", "persian": "cat"}
        rows = [
            f"{breed}/{number:03d}.png,{breed},{kind},x,y" for breed, kind in breeds.items() for number in range(3)
        ]
        archive.writestr("attributes.csv", "\n".join(["file,breed,species,source_image,source", *rows]))
        for number, row in enumerate(rows):
            write_png(archive, row.split(",")[0], drawn[number])
    (folder / "fashion_mnist").mkdir()
    for part in ("train", "t10k"):
        write_idx(folder / "fashion_mnist" / f"{part}-images-idx3-ubyte.gz", torch.full((6, 28, 28), 200).byte())
        write_idx(folder / "fashion_mnist" / f"{part}-labels-idx1-ubyte.gz", torch.tensor([3, 8, 3, 0, 8, 3]).byte())
    return folder


@pytest.fixture(scope="module")
def tiny():
    """The name of a registered extractor of random weights, 16 px."""
    torch.manual_seed(0)
    register_extractor(extractor_from_module(FeatureNet(widths=(8, 8, 8, 8)), name="tiny-benchmark", size=SIDE))
    return "tiny-benchmark"


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The folder of a base model of random weights, 16 px."""
    torch.manual_seed(0)
    config = StyleGAN2Config(SIDE, z_dim=16, w_dim=16, mapping_layers=2, channel_base=128, channel_max=16)
    folder = tmp_path_factory.mktemp("base")
    StyleGAN2(config, arch="stylegan2_64").save_pretrained(folder)
    return str(folder)


def write_png(archive, name, image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    archive.writestr(name, buffer.getvalue())


def write_idx(path, values):
    head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(head + values.numpy().tobytes()))
