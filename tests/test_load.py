"""What ``load`` takes for a folder, a repository or a mistake; no network is there."""

import pytest
import torch

from lowshotgan.api import create_model, evaluate, load
from lowshotgan.cli import run
from lowshotgan.errors import ConfigError, WeightsNotFoundError
from lowshotgan.hub import repository
from lowshotgan.systems.stylegan2.system import StyleGAN2

TINY = {"channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}


@pytest.fixture(autouse=True)
def asked(monkeypatch, tmp_path):
    """What the hub was asked for; it has nothing."""
    asked = []

    def refuse(repo_id, filename, revision, token, **options):
        asked.append((repo_id, revision))
        raise WeightsNotFoundError("nothing there")

    monkeypatch.setattr(repository, "_from_hub", refuse)
    monkeypatch.setattr(repository, "cached", lambda *args, **options: None)
    monkeypatch.chdir(tmp_path)
    return asked


@pytest.mark.parametrize("name", ["runs/mien", "./mien", "runs/mien/model", "mien/delta.safetensors"])
def test_a_mistyped_path_is_no_repository(asked, name):
    for use in (load, lambda name: evaluate(name, "photos")):
        with pytest.raises(ConfigError, match=r"no such folder here; write 'local-dir:.*'hf-hub:owner/name'"):
            use(name)
    assert asked == []


def test_the_command_line_does_not_ask_the_hub_for_a_mistyped_run(asked, capsys):
    assert run(["generate", "runs/mien", "--grid", "a.png"]) == 1
    assert "hf-hub:owner/name" in capsys.readouterr().err
    assert asked == []


def test_a_repository_is_asked_for_when_it_is_spelled_out(asked):
    with pytest.raises(WeightsNotFoundError):
        load("hf-hub:me/faces@v2")
    with pytest.raises(WeightsNotFoundError):
        StyleGAN2.from_pretrained("me/faces")
    assert asked == [("me/faces", "v2"), ("me/faces", None)]


def test_an_existing_folder_is_loaded_by_any_spelling(asked, tmp_path):
    torch.manual_seed(0)
    made = create_model("stylegan2_32", **TINY)
    made.save_pretrained("runs/mine")
    for name in ("runs/mine", "./runs/mine", "local-dir:runs/mine", tmp_path / "runs" / "mine"):
        again = load(name)
        assert again.digest == made.digest and again.source_name == str(name)
    with pytest.raises(WeightsNotFoundError, match="there is no folder"):
        load(tmp_path / "runs" / "mien")
    assert asked == []
