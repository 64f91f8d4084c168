"""``torch.hub.load(source="local")`` from an empty folder, without network, beside decoys of common names."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lowshotgan.hub.manifest import load_manifest
from lowshotgan.systems.registry import ARCHS, DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[1]

BLOCKED = """
import json, socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import torch
repo = sys.argv[1]
"""

CODE = """
model = torch.hub.load(repo, "stylegan2_32", source="local", progress=False, channel_max=8)
cached = {"github": "owner/lowshotgan:v1", "skip_validation": True, "trust_repo": True}
found = {
    "names": torch.hub.list(**cached),
    "help": torch.hub.help(**cached, model="stylegan2_32"),
    "size": list(model.generate(seeds=[3]).tensor.shape),
    "same": type(torch.hub.load(repo, "create_model", "stylegan2_32", source="local")).__name__,
    "models": torch.hub.load(repo, "list_models", source="local"),
    "decoys": [name for name in ("utils", "models", "data", "weights") if name in sys.modules],
}
from lowshotgan.hub.manifest import load_manifest
from lowshotgan.systems.registry import DEFAULT_MODEL
if DEFAULT_MODEL in load_manifest():
    from lowshotgan.hub.store import image_fingerprint
    arch = DEFAULT_MODEL.partition(".")[0]
    pretrained = torch.hub.load(repo, arch, source="local", pretrained=True)
    found["fingerprint"] = image_fingerprint(pretrained.generate(seeds=[0]).tensor[0])
    found["recorded"] = torch.hub.load(repo, "get_weight", DEFAULT_MODEL, source="local").fingerprint
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """What a process sees that has nothing but torch and this folder."""
    empty, decoys, home = (tmp_path_factory.mktemp(name) for name in ("empty", "decoys", "home"))
    (home / "hub").mkdir()
    (home / "hub" / "owner_lowshotgan_v1").symlink_to(ROOT)  # where torch.hub unpacks the tag's archive
    (decoys / "utils.py").write_text("raise AssertionError('the wrong utils was imported')")
    for name in ("models", "data", "weights"):
        (decoys / name).mkdir()
        (decoys / name / "__init__.py").write_text("raise AssertionError('a decoy was imported')")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "LOWSHOTGAN_"))}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + CODE, str(ROOT)],
        cwd=empty,
        env={
            **kept,
            "PYTHONPATH": str(decoys),
            "TORCH_HOME": str(home),
            "HF_HOME": str(home),
            "XDG_CACHE_HOME": str(home),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not list(empty.iterdir())
    return json.loads(done.stdout.splitlines()[-1])


def test_every_architecture_is_an_entry_point_and_nothing_else(loaded):
    assert sorted(loaded["names"]) == sorted([*ARCHS, "create_model", "list_models", "get_weight"])
    assert "32 x 32 pixels" in loaded["help"]
    assert "weights=" in loaded["help"]


def test_a_model_is_built_and_draws(loaded):
    assert loaded["size"] == [1, 3, 32, 32]
    assert loaded["same"] == "StyleGAN2"
    assert set(ARCHS) <= set(loaded["models"])
    assert loaded["decoys"] == []


@pytest.mark.skipif(DEFAULT_MODEL not in load_manifest(), reason="the default weights are not in this checkout")
def test_the_default_weights_draw_what_they_drew_when_published(loaded):
    assert len(loaded["recorded"]) == 48
    pairs = zip(loaded["fingerprint"], loaded["recorded"], strict=True)
    assert max(abs(now - then) for now, then in pairs) <= 2


def test_dependencies_are_names_that_import():
    tree = ast.parse((ROOT / "hubconf.py").read_text(encoding="utf-8"))
    values = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    for name in ast.literal_eval(values["dependencies"]):
        __import__(name)


def test_no_folder_outside_the_package_is_importable():
    """torch.hub puts this folder first on the path; a package named ``data`` would shadow the user's."""
    assert [path.parent.name for path in ROOT.glob("*/__init__.py")] == ["lowshotgan"]
