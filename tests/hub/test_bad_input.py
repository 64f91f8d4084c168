"""What can be wrong with a model on disk, and the error each thing ends in."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lowshotgan.errors import (
    ConfigError,
    DeltaError,
    WeightsFormatError,
    WeightsHashError,
    WeightsNotFoundError,
)
from lowshotgan.hub.manifest import load_manifest
from lowshotgan.hub.push import check_folder, push_folder
from lowshotgan.hub.remote import resolve, resolve_model
from lowshotgan.hub.store import (
    load_strict,
    read_config,
    read_delta,
    read_tensors,
    write_delta,
    write_model_folder,
)


def change_config(model: Path, **values: object) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | values))


def zero_bytes(model):
    (model / "model.safetensors").write_bytes(b"")


def truncated(model):
    data = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(data[:-7])


def truncated_header(model):
    data = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(data[:20])


def overwritten(model):
    data = bytearray((model / "model.safetensors").read_bytes())
    data[8:40] = b"\xff" * 32
    (model / "model.safetensors").write_bytes(data)


def checkpoint_renamed(model):
    torch.save({"a": torch.ones(2)}, model / "model.safetensors")


def pickle_renamed(model):
    (model / "model.safetensors").write_bytes(b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x94.")


def lfs_pointer(model):
    (model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


def web_page(model):
    (model / "model.safetensors").write_text("<!doctype html><title>Sign in</title>")


def a_folder(model):
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").mkdir()


def with_nan(model):
    save_file({"a.weight": torch.tensor([1.0, float("nan")])}, model / "model.safetensors")


def with_infinity(model):
    save_file({"a.weight": torch.tensor([1.0, float("inf")]).half()}, model / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (zero_bytes, "is empty"),
        (truncated, "truncated or damaged"),
        (truncated_header, "truncated or damaged"),
        (overwritten, "truncated or damaged"),
        (checkpoint_renamed, "a pickle in a zip"),
        (pickle_renamed, "a pickle, which"),
        (lfs_pointer, "git lfs pull"),
        (web_page, "web page"),
        (a_folder, "not a file"),
        (with_nan, "NaN or infinite"),
        (with_infinity, "NaN or infinite"),
    ],
)
def test_a_spoilt_weights_file_is_refused(model, spoil, says):
    spoil(model)
    with pytest.raises(WeightsFormatError, match=says) as caught:
        read_tensors(model / "model.safetensors")
    assert "model.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"format_version": 2}, "pip install --upgrade lowshotgan"),
        ({"format_version": "1"}, "whole number"),
        ({"format_version": True}, "whole number"),
        ({"arch": 7}, "'arch' must be a text"),
        ({"system": None}, "'system' must be a text"),
        ({"config": [1]}, "'config' must be an object"),
        ({"details": None}, "'details' must be an object"),
    ],
)
def test_a_configuration_with_a_wrong_value_is_refused(model, values, says):
    change_config(model, **values)
    with pytest.raises(WeightsFormatError, match=says):
        read_config(model)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '{"arch": NaN', "\udcff", "[" * 100_000])
def test_a_configuration_that_is_no_json_object_is_refused(model, text):
    (model / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(WeightsFormatError, match="config.json"):
        read_config(model)


def test_a_huge_configuration_is_not_read(model):
    (model / "config.json").write_text(" " * (5 << 20))
    with pytest.raises(WeightsFormatError, match="too many"):
        read_config(model)


def test_a_missing_configuration_or_folder_is_named(model):
    (model / "config.json").unlink()
    with pytest.raises(WeightsNotFoundError, match=r"has no config\.json"):
        read_config(model)
    with pytest.raises(WeightsNotFoundError, match="does not exist"):
        read_config(model / "nowhere")
    with pytest.raises(WeightsNotFoundError, match=r"has no config\.json"):
        resolve_model(model)


def test_weights_of_another_model_change_nothing():
    module = torch.nn.Linear(3, 4)
    before = module.weight.detach().clone()
    with pytest.raises(WeightsFormatError, match=r"1 missing \(bias\), 1 unexpected \(extra\)"):
        load_strict(module, {"weight": torch.ones(4, 3), "extra": torch.ones(1)}, what="toy")
    with pytest.raises(WeightsFormatError, match="other constructor arguments"):
        load_strict(module, {"weight": torch.ones(5, 3), "bias": torch.ones(4)}, what="toy")
    assert torch.equal(module.weight, before)


def test_nan_is_not_written_and_the_old_file_stays(model, tensors):
    before = (model / "model.safetensors").read_bytes()
    spoilt = tensors | {"a.bias": torch.full((4,), float("nan"))}
    with pytest.raises(WeightsFormatError, match=r"a\.bias"):
        write_model_folder(model, {"arch": "a", "system": "s", "config": {}}, tensors, discriminator=spoilt)
    with pytest.raises(WeightsFormatError, match="float16"):
        write_model_folder(
            model, {"arch": "a", "system": "s", "config": {}}, {"w": torch.full((5000,), 1e6)}, half=True
        )
    assert (model / "model.safetensors").read_bytes() == before
    assert not list(model.glob(".*.part"))


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/passwd", "sub/file", "..", "", ".hidden", "a\\b", "x" * 200])
def test_file_names_that_leave_the_folder_are_refused(model, tensors, name):
    with pytest.raises(ConfigError, match="without folders"):
        write_model_folder(model, {"arch": "a", "system": "s", "config": {}}, tensors, extra_files={name: "text"})
    with pytest.raises(ConfigError, match="without folders"):
        resolve(model, filename=name)


@pytest.mark.parametrize(
    "name",
    [
        "../model",
        "./model",
        "~/model",
        "/tmp/model",
        "owner/name",
        "C:\\model",
        "a/b/c",
        "..",
        "hub:owner/name",
    ],
)
def test_a_bare_path_or_repository_needs_its_spelling(name):
    with pytest.raises(ConfigError, match="local-dir:.*hf-hub:owner/name"):
        resolve(name)


@pytest.mark.parametrize("name", ["hf-hub:name", "hf-hub:a/b/c", "hf-hub:../up", "hf-hub:a/..", "hf-hub:"])
def test_a_malformed_repository_is_refused(name):
    with pytest.raises(ConfigError, match="hf-hub:owner/name"):
        resolve(name)


def test_names_and_revisions_that_do_not_apply(model, published):
    published()
    with pytest.raises(WeightsNotFoundError, match=r"Did you mean 'toy_8\.one_v1'"):
        resolve("toy_8.one_v2")
    with pytest.raises(WeightsNotFoundError, match="there is no folder"):
        resolve("local-dir:nowhere")
    with pytest.raises(WeightsNotFoundError, match="there is no folder"):
        resolve("./nowhere/model", bare=True)
    with pytest.raises(ConfigError, match="is a folder; leave it out"):
        resolve(model, revision="main")
    with pytest.raises(ConfigError, match="pinned to revision"):
        resolve("toy_8.one_v1", revision="main")
    with pytest.raises(ConfigError, match="two revisions"):
        resolve("hf-hub:me/toy@v1", revision="v2")


def test_a_file_that_differs_from_the_manifest_is_refused(model, published, tmp_path, monkeypatch):
    entry = published()
    shutil.copytree(model, tmp_path / "mine" / entry.name)
    monkeypatch.setenv("LOWSHOTGAN_WEIGHTS_DIR", str(tmp_path / "mine"))
    assert resolve(entry.name).is_file()
    spoilt = tmp_path / "mine" / entry.name / "model.safetensors"
    spoilt.write_bytes(b"x" + spoilt.read_bytes()[1:])
    with pytest.raises(WeightsHashError, match=f"lowshotgan download {entry.name} --to {tmp_path / 'mine'}"):
        resolve(entry.name)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda entry: entry["files"].update({"../../evil.py": {"size": 1, "sha256": "0" * 64}}),
            "without folders",
        ),
        (lambda entry: entry["files"].pop("model.safetensors"), "lists no model"),
        (lambda entry: entry["files"]["model.safetensors"].update(sha256="abc"), "64 lower-case"),
        (lambda entry: entry["files"]["model.safetensors"].update(size=-1), "number of bytes"),
        (lambda entry: entry.update(repo_id="me/toy", revision="main"), "full commit hash"),
        (lambda entry: entry.pop("licenses"), "incomplete"),
        (lambda entry: entry.update(surprise=1), "unknown field"),
    ],
)
def test_a_manifest_entry_that_cannot_be_trusted_is_refused(published, tmp_path, spoil, says):
    published()
    file = tmp_path / "installed/weights/manifest.json"
    content = json.loads(file.read_text())
    spoil(content["weights"]["toy_8.one_v1"])
    file.write_text(json.dumps(content))
    with pytest.raises(WeightsFormatError, match=says):
        load_manifest(file)


def test_a_manifest_from_the_future_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('{"format_version": 9, "weights": {}}')
    with pytest.raises(WeightsFormatError, match="upgrade"):
        load_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize("target", ["delta", "delta.safetensors"])
def test_a_delta_of_another_base_is_refused(tmp_path, target):
    path = write_delta(tmp_path / target, {"w": torch.ones(2)}, base_digest="a" * 64, base="toy_8.one_v1")
    assert read_delta(path, base_digest="a" * 64).base == "toy_8.one_v1"
    with pytest.raises(DeltaError, match=r"aaaaaaaaaaaaaaaa.*\(toy_8.one_v1\).*bbbbbbbbbbbbbbbb"):
        read_delta(path, base_digest="b" * 64)


def test_things_that_are_no_delta(tmp_path, model):
    with pytest.raises(DeltaError, match="no tensors"):
        write_delta(tmp_path / "delta", {}, base_digest="a" * 64)
    with pytest.raises(DeltaError, match="there is no delta"):
        read_delta(tmp_path / "nowhere")
    with pytest.raises(DeltaError, match=r"adapter_config\.json"):
        read_delta(model)
    with pytest.raises(DeltaError, match="but no delta"):
        read_delta(model / "model.safetensors")
    write_delta(tmp_path / "delta", {"w": torch.ones(2)}, base_digest="a" * 64)
    about = json.loads((tmp_path / "delta/adapter_config.json").read_text())
    (tmp_path / "delta/adapter_config.json").write_text(json.dumps({**about, "base_sha256": None}))
    with pytest.raises(DeltaError, match="not recorded"):
        read_delta(tmp_path / "delta")
    save_file({"w": torch.ones(1)}, tmp_path / "x.safetensors", metadata={"lowshotgan_delta": "{"})
    with pytest.raises(WeightsFormatError, match="header is damaged"):
        read_delta(tmp_path / "x.safetensors")


def test_a_push_is_checked_before_the_network(model):
    with pytest.raises(ConfigError, match="owner/name"):
        push_folder(model, "name")
    with pytest.raises(ConfigError, match="leave revision out"):
        push_folder(model, "me/toy", create_pr=True, revision="v1")
    with_nan(model)
    with pytest.raises(WeightsFormatError, match="NaN"):
        push_folder(model, "me/toy")
    (model / "model.safetensors").unlink()
    with pytest.raises(WeightsFormatError, match=r"no model\.safetensors"):
        check_folder(model)


def test_a_zip_of_a_model_is_not_a_model(model, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.write(model / "config.json", "config.json")
    with pytest.raises(WeightsNotFoundError, match=r"has no config\.json"):
        resolve_model(tmp_path / "model.zip")
