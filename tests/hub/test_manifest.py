"""The list of published weights: reading, choosing, licences, and the list this checkout ships."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lowshotgan.errors import WeightsNotFoundError
from lowshotgan.hub.files import write_json
from lowshotgan.hub.manifest import (
    Licenses,
    WeightsEntry,
    WeightsFile,
    dump_manifest,
    find_entries,
    get_entry,
    load_manifest,
)

ROOT = Path(__file__).resolve().parents[2]
FILES = {"model.safetensors": WeightsFile(10, "a" * 64), "config.json": WeightsFile(2, "b" * 64)}


def entry(name: str, *, weights: str = "CC-BY-4.0", data: tuple[str, ...] = ("MIT",), **fields) -> WeightsEntry:
    return WeightsEntry(name, "toy", FILES, Licenses("Apache-2.0", weights, data), **fields)


ENTRIES = {
    item.name: item
    for item in (
        entry("toy_64.faces_v1"),
        entry("toy_64.faces_v2", default=True),
        entry("toy_64.sketches_10shot_from_faces_v1", base="toy_64.faces_v1", weights="CC-BY-SA-4.0"),
        entry("other_32.cats_v1", data=("MIT", "CC-BY-SA-4.0")),
    )
}


def test_entries_survive_the_file(tmp_path):
    full = entry(
        "toy_64.full_v1",
        summary="Faces.",
        repo_id="lab/toy_64.full_v1",
        revision="c" * 40,
        recipe="recipes/toy.toml",
        data=("MIT",),
    )
    write_json(tmp_path / "manifest.json", dump_manifest([full, *ENTRIES.values()]))
    assert load_manifest(tmp_path / "manifest.json") == {**ENTRIES, full.name: full}
    assert (full.arch, full.tag, full.size) == ("toy_64", "full_v1", 12)


def test_a_name_an_architecture_or_its_only_entry():
    assert get_entry("toy_64.faces_v1", manifest=ENTRIES).tag == "faces_v1"
    assert get_entry("toy_64", manifest=ENTRIES).tag == "faces_v2"
    assert get_entry("other_32", manifest=ENTRIES).tag == "cats_v1"
    with pytest.raises(WeightsNotFoundError, match=r"Did you mean 'toy_64\.faces_v1'.*list --pretrained"):
        get_entry("toy_64.face_v1", manifest=ENTRIES)
    without_default = {name: item for name, item in ENTRIES.items() if not item.default}
    with pytest.raises(WeightsNotFoundError):
        get_entry("toy_64", manifest=without_default)


def test_listing_by_pattern_and_licence():
    def names(*args, **kwargs):
        return [found.name for found in find_entries(*args, manifest=ENTRIES, **kwargs)]

    assert names() == sorted(ENTRIES)
    assert names("*sketches*") == ["toy_64.sketches_10shot_from_faces_v1"]
    assert names("other_32") == ["other_32.cats_v1"]
    assert names(license="permissive") == ["toy_64.faces_v1", "toy_64.faces_v2"]
    assert names(license="CC-BY-SA-4.0") == ["toy_64.sketches_10shot_from_faces_v1"]


def test_the_shipped_list_is_sound_and_its_files_are_what_it_says():
    check = subprocess.run(
        [sys.executable, ROOT / "recipes/publish.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_listing_imports_no_torch():
    code = (
        "import sys\n"
        "from lowshotgan.hub import manifest, remote, card, repository, digest\n"
        "manifest.find_entries(license='permissive')\n"
        "assert not {'torch', 'numpy', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)
