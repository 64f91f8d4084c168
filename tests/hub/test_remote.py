"""Where a name is looked for, in which order, without a network."""

import logging
import os
import shutil

import pytest
from huggingface_hub.errors import EntryNotFoundError

from lowshotgan.errors import WeightsNotFoundError
from lowshotgan.hub import repository
from lowshotgan.hub.remote import download, parse_reference, places, resolve, resolve_model


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    """Any request to the hub is a failure."""

    def refuse(*args, **kwargs):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(repository, "_from_hub", refuse)


def test_what_a_name_means(tmp_path, published, monkeypatch):
    entry = published()
    monkeypatch.chdir(tmp_path)
    assert parse_reference("toy_8").entry == parse_reference("toy_8.one_v1").entry == entry
    assert parse_reference("local-dir:model").folder == tmp_path.__class__("model")
    assert parse_reference(tmp_path / "model").folder == tmp_path / "model"
    assert parse_reference("hf-hub:me/toy").repo_id == "me/toy"
    assert parse_reference("hf-hub:me/toy_8.one_v1@v2").revision == "v2"
    assert parse_reference("me/toy", bare=True).repo_id == "me/toy"
    assert parse_reference("me/toy", bare=True, revision="abc").revision == "abc"
    assert parse_reference("./model", bare=True).folder is not None
    assert parse_reference("model", bare=True).folder is not None
    (tmp_path / "me/toy").mkdir(parents=True)
    assert parse_reference("me/toy", bare=True).folder is not None, "a folder that exists wins"


def test_the_order_of_places(tmp_path, model, published, monkeypatch):
    entry = published(repo_id="lab/toy", revision="a" * 40)
    installed, first, second = tmp_path / "installed/weights", tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("LOWSHOTGAN_WEIGHTS_DIR", f"{first}{os.pathsep}{second}{os.pathsep}")
    assert places(entry) == [folder / entry.name for folder in (first, second, installed)]
    monkeypatch.setattr(repository, "cached", lambda *args, **kwargs: model / "model.safetensors")
    assert resolve(entry.name) == model / "model.safetensors", "the hub's cache is the last local place"
    for folder in (installed, second, first):
        shutil.copytree(model, folder / entry.name)
        assert resolve(entry.name) == folder / entry.name / "model.safetensors"


def test_not_found_names_every_place_and_the_command(tmp_path, published, monkeypatch):
    entry = published(repo_id="lab/toy", revision="a" * 40)
    monkeypatch.setenv("LOWSHOTGAN_WEIGHTS_DIR", f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'two'}")
    with pytest.raises(WeightsNotFoundError) as caught:
        resolve(entry.name, local_files_only=True)
    text = str(caught.value)
    for place in (tmp_path / "one", tmp_path / "two", tmp_path / "installed/weights"):
        assert str(place / entry.name) in text
    assert f"lab/toy at {'a' * 40}" in text
    assert f"`lowshotgan download {entry.name} --to DIR`" in text
    assert "LOWSHOTGAN_WEIGHTS_DIR=DIR" in text
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsNotFoundError, match="HF_HUB_OFFLINE is set"):
        resolve(entry.name)
    published()
    with pytest.raises(WeightsNotFoundError, match="not on the hub"):
        resolve(entry.name)


def test_a_model_folder_with_and_without_discriminator(model):
    whole = resolve_model(model, discriminator=True)
    assert (whole.config, whole.discriminator) == (model / "config.json", model / "discriminator.safetensors")
    assert resolve_model(model).discriminator is None
    (model / "discriminator.safetensors").unlink()
    assert resolve_model(f"local-dir:{model}", discriminator=True).discriminator is None
    assert resolve(model / "config.json", filename="config.json") == model / "config.json"


@pytest.mark.parametrize(("answered", "told"), [(True, 0), (False, 1)])
def test_a_discriminator_that_could_not_be_asked_for_is_told(model, monkeypatch, caplog, answered, told):
    def download(repo_id, filename, revision, token, *, force, probe):
        if filename == "discriminator.safetensors":
            error = EntryNotFoundError("404") if answered else ConnectionError("no route")
            raise WeightsNotFoundError(repository._why(error, repo_id, filename, revision)) from error
        return model / filename

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(repository, "is_offline", lambda: False)
    monkeypatch.setattr(repository, "_from_hub", download)
    with caplog.at_level(logging.WARNING, logger="lowshotgan"):
        assert resolve_model("hf-hub:me/toy", discriminator=True).discriminator is None
    assert len(caplog.records) == told and all("no route" in record.getMessage() for record in caplog.records)


def test_download_copies_what_is_intact_and_keeps_what_is_there(tmp_path, model, published, monkeypatch):
    entry = published()
    installed = tmp_path / "installed/weights" / entry.name
    shutil.copytree(model, installed)
    assert download("toy_8") == installed
    target = download("toy_8", tmp_path / "kept")
    assert target == tmp_path / "kept/toy_8.one_v1"
    before = (target / "config.json").stat().st_mtime_ns
    (target / "model.safetensors").write_bytes(b"damaged")
    download("toy_8.one_v1", tmp_path / "kept")
    assert (target / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert (target / "config.json").stat().st_mtime_ns == before
    monkeypatch.setenv("LOWSHOTGAN_WEIGHTS_DIR", str(tmp_path / "kept"))
    (installed / "model.safetensors").write_bytes(b"damaged")
    assert resolve("toy_8") == target / "model.safetensors"
    shutil.rmtree(target)
    with pytest.raises(WeightsNotFoundError):
        download("toy_8", tmp_path / "kept")
