"""Model folders and deltas: what is written comes back."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from lowshotgan.errors import ConfigError
from lowshotgan.hub.store import (
    read_config,
    read_delta,
    read_tensors,
    state_digest,
    write_delta,
    write_model_folder,
    write_tensors,
)
from lowshotgan.hub.tensors import HALF_FROM

ABOUT = {"arch": "toy_8", "system": "toy", "config": {"resolution": 8, "names": ["é"]}, "base": None}


def test_a_model_folder_comes_back(tmp_path, tensors):
    (tmp_path / "note.md").write_text("mine")
    extra = {"README.md": "# Toy", "grid.png": b"\x89PNG", "LICENSE": tmp_path / "note.md"}
    folder = write_model_folder(
        tmp_path / "deep" / "model", ABOUT, tensors, discriminator=tensors, extra_files=extra, license="MIT"
    )
    config = read_config(folder)
    assert config == read_config(folder / "config.json")
    assert {key: config[key] for key in ABOUT} == ABOUT
    assert config["format_version"] == 1
    for name in ("model.safetensors", "discriminator.safetensors"):
        found = read_tensors(folder / name)
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[key], tensors[key]) for key in tensors)
    assert (folder / "README.md").read_text() == "# Toy"
    assert (folder / "grid.png").read_bytes() == b"\x89PNG"
    assert (folder / "LICENSE").read_text() == "mine"
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert file.metadata().items() >= {"format": "pt", "license": "MIT"}.items()
    assert not list(folder.glob(".*")), "no temporary file is left"
    assert (folder / "model.safetensors").stat().st_mode == (folder / "config.json").stat().st_mode


def test_an_incomplete_configuration_is_refused(tmp_path, tensors):
    with pytest.raises(ConfigError, match="lacks system, config"):
        write_model_folder(tmp_path / "model", {"arch": "toy_8"}, tensors)
    assert not (tmp_path / "model").exists()


def test_half_precision_keeps_small_and_whole_numbered_tensors(tmp_path):
    tensors = {
        "large": torch.linspace(-3, 3, HALF_FROM),
        "small": torch.linspace(-3, 3, 7),
        "count": torch.tensor(2**40 + 1),
        "double": torch.ones(2, dtype=torch.float64),
    }
    path = write_tensors(tmp_path / "half.safetensors", tensors, half=True)
    stored = read_tensors(path, dtype=None)
    assert [stored[name].dtype for name in tensors] == [
        torch.float16,
        torch.float32,
        torch.int64,
        torch.float64,
    ]
    loaded = read_tensors(path)
    assert {loaded[name].dtype for name in ("large", "small", "double")} == {torch.float32}
    assert torch.equal(loaded["large"], tensors["large"].half().float())
    assert torch.equal(loaded["small"], tensors["small"])
    assert int(loaded["count"]) == 2**40 + 1


def test_aliased_transposed_and_channels_last_tensors_are_stored(tmp_path):
    shared = torch.arange(24.0).reshape(1, 2, 3, 4)
    tensors = {
        "a": shared,
        "b": shared,
        "view": shared[..., 1:],
        "turned": shared[0, 0].t(),
        "last": shared.contiguous(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(shared[0, 0]),
    }
    found = read_tensors(write_tensors(tmp_path / "odd.safetensors", tensors))
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


shapes = st.lists(st.integers(0, 4), max_size=3)
dtypes = st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.tuples(shapes, dtypes), max_size=4),
    st.integers(0, 99),
)
def test_any_tensors_survive_the_disk_with_their_digest(tmp_path, named, seed):
    named.pop("__metadata__", None)
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(shape, generator=generator).to(dtype) for name, (shape, dtype) in named.items()}
    path = write_tensors(tmp_path / "any.safetensors", tensors)
    exact, floats = read_tensors(path, dtype=None), read_tensors(path)
    assert exact.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert exact[name].dtype == tensor.dtype
        assert torch.equal(exact[name], tensor)
    assert state_digest(exact) == state_digest(floats) == state_digest(tensors)


def test_the_digest_sees_names_values_and_shapes_but_no_order(tensors):
    digest = state_digest(tensors)
    assert len(digest) == 64
    assert state_digest(dict(reversed(tensors.items()))) == digest
    changed = tensors["a.bias"].clone()
    changed[0] += 1e-6
    others = [
        {**tensors, "a.bias": changed},
        {**tensors, "more": torch.zeros(1)},
        {"a.weight": tensors["a.weight"].reshape(3, 4), "a.bias": tensors["a.bias"]},
        {"a.weights": tensors["a.weight"], "a.bias": tensors["a.bias"]},
        {},
    ]
    assert len({digest, *map(state_digest, others)}) == len(others) + 1


@pytest.mark.parametrize("target", ["mine", "mine/delta.safetensors"])
def test_a_delta_comes_back_bit_for_bit(tmp_path, tensors, target):
    base = state_digest(tensors)
    config = {"trainable": "affine_lora", "rank": 5}
    path = write_delta(tmp_path / target, tensors, base_digest=base, base="toy_8.one_v1", config=config)
    delta = read_delta(path, base_digest=base)
    assert (delta.base, delta.base_digest, delta.config) == ("toy_8.one_v1", base, config)
    assert all(torch.equal(delta.tensors[name], tensor) for name, tensor in tensors.items())
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))
    assert size < 2048, "a delta is about as large as its tensors"


def test_a_delta_folder_has_the_file_names_of_peft(tmp_path, tensors):
    write_delta(tmp_path / "d", tensors, base_digest="a" * 64, base="me/toy")
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    about = json.loads((tmp_path / "d/adapter_config.json").read_text())
    assert (about["base_model_name_or_path"], about["library_name"]) == ("me/toy", "lowshotgan")
