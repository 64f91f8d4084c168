"""What is shipped: the wheel, the source archive, the public names and the versions in all files."""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import lowshotgan

ROOT = Path(__file__).parents[1]
PACKAGED = ("stylegan2_64.avatars_v1", "features_64.lsg1")
LARGEST_WHEEL = 40 << 20  # bytes

pytest.importorskip("hatchling", reason='pip install ".[dev]"')


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the source archive, built without network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    assert path.stat().st_size < LARGEST_WHEEL
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_public_names_are_the_checked_in_list():
    """A change here is a decision: bump the version as SemVer asks and say it in CHANGELOG.md."""
    listed = (ROOT / "tests" / "public_names.txt").read_text(encoding="utf-8").split()
    assert sorted(lowshotgan.__all__) == listed


def test_wheel_holds_the_whole_package_and_nothing_else(wheel):
    shipped = set(wheel.namelist())
    assert "lowshotgan/py.typed" in shipped
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "lowshotgan").rglob("*.py")}
    assert sources <= shipped
    tops = {name.partition("/")[0] for name in shipped}
    assert tops == {"lowshotgan", f"lowshotgan-{lowshotgan.__version__}.dist-info"}


def test_wheel_holds_manifest_default_weights_and_feature_network(wheel):
    manifest = json.loads(wheel.read("lowshotgan/weights/manifest.json"))
    for name in PACKAGED:
        files = manifest["weights"][name]["files"]
        assert "model.safetensors" in files
        for file, about in files.items():
            content = wheel.read(f"lowshotgan/weights/{name}/{file}")
            assert (len(content), hashlib.sha256(content).hexdigest()) == (about["size"], about["sha256"])


def test_wheel_metadata(wheel):
    metadata = wheel.read(f"lowshotgan-{lowshotgan.__version__}.dist-info/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    entry_points = wheel.read(f"lowshotgan-{lowshotgan.__version__}.dist-info/entry_points.txt").decode()
    assert "lowshotgan = lowshotgan.cli:main" in entry_points


def test_source_archive_has_no_other_weights(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        weights = [name for name in archive.getnames() if name.endswith(".safetensors")]
        names = set(archive.getnames())
    assert all(name.split("/")[2] in PACKAGED for name in weights)
    root = f"lowshotgan-{lowshotgan.__version__}"
    assert {f"{root}/LICENSE", f"{root}/THIRD_PARTY_NOTICES.md", f"{root}/hatch_build.py"} <= names


def test_versions_agree():
    version = lowshotgan.__version__
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)


def test_dependencies_are_the_agreed_ones():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.match(r"[\w-]+", need)[0] for need in project["dependencies"]}
    expected = "torch torchvision huggingface_hub safetensors numpy pillow accelerate tqdm click"
    assert names == set(expected.split())
    extras = "ui onnx video audio data tracking dev"
    assert set(project["optional-dependencies"]) == set(extras.split())


def test_nothing_is_left_open():
    """No unfinished marks and no unsafe loading in code that is shipped."""
    marks = [
        "TO" + "DO",
        "FIX" + "ME",
        "NotImplemented" + "Error",
        "pickle" + ".load",
        "weights_only=" + "False",
    ]
    for path in [*(ROOT / "lowshotgan").rglob("*.py"), *(ROOT / "recipes").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        for mark in marks:
            assert mark not in text, f"{path.relative_to(ROOT)} contains {mark}"
