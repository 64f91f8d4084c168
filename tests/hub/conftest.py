"""A hub on loopback, a process that talks to it, and a published model in a temporary folder."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lowshotgan.hub import manifest
from lowshotgan.hub.files import write_json
from lowshotgan.hub.manifest import Licenses, WeightsEntry, WeightsFile, dump_manifest
from lowshotgan.hub.store import write_model_folder

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {"arch": "toy_8", "system": "toy", "config": {"resolution": 8}}

_CLIENTS_OWN_WARNING = "ignore:Use 'content=:DeprecationWarning"
"""huggingface_hub 2.4 uploads in a way its HTTP library calls deprecated."""

_spec = importlib.util.spec_from_file_location("loopback_hub", Path(__file__).with_name("server.py"))
server = importlib.util.module_from_spec(_spec)
sys.modules["loopback_hub"] = server
_spec.loader.exec_module(server)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stamps go to a temporary folder, and no setting of the machine leaks in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LOWSHOTGAN_WEIGHTS_DIR", raising=False)


@pytest.fixture
def hub() -> Iterator[Any]:
    with server.HubServer() as running:
        yield running


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"a.weight": torch.randn(4, 3, generator=generator), "a.bias": torch.randn(4, generator=generator)}


@pytest.fixture
def model(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """A model folder with a discriminator."""
    discriminator = {"d.weight": torch.ones(2, 2)}
    return write_model_folder(tmp_path / "model", CONFIG, tensors, discriminator=discriminator)


@pytest.fixture
def published(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WeightsEntry]:
    """Make the model folder the only entry of the manifest, ``toy_8.one_v1``; no searched place has it."""

    def publish(**fields: Any) -> WeightsEntry:
        files = {
            path.name: WeightsFile(path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in model.iterdir()
        }
        licenses = Licenses("Apache-2.0", "CC-BY-4.0", ("CC-BY-4.0",))
        entry = WeightsEntry("toy_8.one_v1", "toy", files, licenses, default=True, **fields)
        folder = tmp_path / "installed" / "weights"
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "manifest.json", dump_manifest([entry]))
        monkeypatch.setattr(manifest, "weights_folders", lambda: [folder])
        return entry

    return publish


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Any]:
    """Run Python code in a fresh process whose hub is ``endpoint``; returns what it passes to ``answer()``.

    A fresh process, because huggingface_hub reads its environment when it is imported.
    """

    def run(code: str, *, endpoint: str, home: str = "hf", timeout: float = 60, **environment: str) -> Any:
        weights = tmp_path / "installed" / "weights"
        head = (
            "import json, time\nfrom pathlib import Path\n"
            "def answer(value): print('ANSWER' + json.dumps(value))\n"
            "from lowshotgan.hub import manifest\n"
            f"installed = Path({str(weights)!r})\n"
            "if installed.is_dir(): manifest.weights_folders = lambda: [installed]\n"
        )
        kept = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
        settings = {
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "HF_HOME": str(tmp_path / home),
            "HF_ENDPOINT": endpoint,
            "HF_TOKEN": "hf_test",
            "HF_HUB_DISABLE_XET": "1",  # the loopback hub speaks LFS
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-W", _CLIENTS_OWN_WARNING, "-c", head + code],
            env=kept | settings | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
        return json.loads(lines[-1].removeprefix("ANSWER"))

    return run
