"""What every system in the table must keep, whatever it generates."""

import inspect
from typing import get_type_hints

import pytest
import torch

from lowshotgan.api import create_model, list_models, load, train
from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8, to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import CheckpointError, ConfigError, UnsupportedVerbError, WeightsFormatError
from lowshotgan.hub.store import read_tensors, write_tensors
from lowshotgan.systems.registry import ARCHS, SYSTEMS, VERBS, system_class
from lowshotgan.train.loop import LoopSettings
from lowshotgan.train.source import train_source

ATTRIBUTES = {
    f"{shape} {colour}": {"shape": shape, "colour": colour}
    for shape in ("round", "square")
    for colour in ("red", "blue")
}
TINY = {
    "stylegan2": (
        "stylegan2_32",
        {"channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 2},
    ),
    "fastgan": ("fastgan_64", {"generator_width": 4, "discriminator_width": 4, "z_dim": 16}),
    "lado": ("lado_32", {"resolution": 16, "content_dim": 6, "appearance_dim": 4, "width": 4}),
    "genho": ("genho_32", {"resolution": 16, "z_dim": 6, "width_base": 64, "width_max": 8}),
    "pfsgan": (
        "pfsgan_32",
        {"resolution": 16, "content_dim": 6, "appearance_dim": 4, "width": 4, "encoder": "conv", "encoder_width": 4},
    ),
    "kggan": (
        "kggan_32",
        {"knowledge": ATTRIBUTES, "unseen": ["round blue"], "z_dim": 8, "width": 8, "discriminator_width": 4},
    ),
    "syncgan": (
        "syncgan_32",
        {"resolution": 16, "modalities": ("image=image:3x16x16", "numbers=vector:4"), "width": 4, "concept_dim": 8},
    ),
    "cond_syncgan": (
        "cond_syncgan_28",
        {"resolution": 16, "modalities": ("given=image:1x16x16", "drawn=image:3x16x16"), "noise_dim": 4},
    ),
    "kggan_recolour": ("kggan_recolour_64", {"transform_width": 4, "mask_width": 4, "discriminator_width": 4}),
}
NEEDS = {
    "cond_syncgan": lambda n: {"content": to_pil(from_uint8(faces(n, resolution=16, seed=1)))},
    "kggan_recolour": lambda n: {"content": from_uint8(faces(n, resolution=64, seed=1)), "color": "#3b7dd8"},
}
"""What ``generate`` cannot do without, for n images, where seeds are not enough."""
QUICK = {
    "stylegan2": {"steps": 2, "batch_size": 4, "warm_up_steps": 1, "path_weight": 2.0},
    "fastgan": {"steps": 2, "batch_size": 4, "perceptual": "random"},
    "lado": {"steps": 2, "batch_size": 4},
    "genho": {"steps": 2, "batch_size": 4},
    "pfsgan": {"steps": 2, "batch_size": 4, "features": "random"},
    "kggan": {"steps": 2, "batch_size": 4, "embedding_steps": 2, "folds": 0, "discriminator_steps": 1},
    "kggan_recolour": {"steps": 2, "batch_size": 4},
    "syncgan": {"steps": 2, "batch_size": 4, "synchronizer_steps": 2},
    "cond_syncgan": {"steps": 2, "batch_size": 4},
}
DATA = {
    "kggan": lambda images: dict.fromkeys(ATTRIBUTES, images[:2]),
    "syncgan": lambda images: {"image": images, "numbers": torch.eye(6, 4)[: len(images)], "pairs": "aligned"},
    "cond_syncgan": lambda images: {"given": images, "drawn": images, "pairs": "aligned"},
    "kggan_recolour": lambda images: dict.fromkeys(("black", "brown", "blond"), images[:2]),
}
"""What a system trains on, made from a list of images, where it is not the list itself."""


@pytest.fixture(params=[name for name in SYSTEMS if "translate" not in VERBS[name]])
def model(request):
    arch, config = TINY[request.param]
    torch.manual_seed(0)
    return create_model(arch, **config)


def draw(model, n, **options):
    """``n`` images of ``model``, whatever it draws from."""
    needs = NEEDS.get(model.system)
    return model.generate(**needs(n), **options) if needs else model.generate(n, **options)


def test_every_architecture_names_a_system():
    assert {system for system, _ in ARCHS.values()} == set(SYSTEMS) == set(VERBS)
    assert list_models() == list(ARCHS)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_is_what_the_table_calls_it(name):
    assert system_class(name).system == name


def test_the_same_seed_gives_the_same_image_alone_and_in_a_batch(model):
    if model.system in NEEDS:
        pytest.skip(f"{model.system} draws from more than seeds")
    together = model.generate(seeds=[3, 7, 11]).tensor
    alone = model.generate(seeds=[7]).tensor
    assert together.shape == (3, 3, model.config.resolution, model.config.resolution)
    assert torch.allclose(together[1], alone[0], atol=1e-5)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize(("dtype", "share"), [("float16", 0.01), ("bfloat16", 0.08), ("float64", 1e-4)])
def test_weights_of_any_type_draw_nearly_the_same_images(model, dtype, share):
    before = draw(model, 3).tensor
    model.to(getattr(torch, dtype))
    again = draw(model, 3).tensor
    assert again.dtype == torch.float32
    assert 0 < (again - before).abs().max() <= share * before.std()


def test_training_refuses_half_weights(model, tmp_path):
    with pytest.raises(ConfigError, match=r"training needs float32 weights, got torch\.float16"):
        train(model.half(), [], output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_output_types_agree(model):
    images = draw(model, 2).images
    assert [image.size for image in images] == [(model.config.resolution,) * 2] * 2
    values = draw(model, 2, output_type="pt").images
    array = draw(model, 2, output_type="np").images
    assert values.min() >= 0 and values.max() <= 1
    assert torch.equal(values.permute(0, 2, 3, 1), torch.from_numpy(array))


def test_saving_and_loading_keeps_every_image(model, tmp_path):
    model.save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved")
    assert torch.equal(draw(model, 3).tensor, draw(again, 3).tensor)
    assert again.arch == model.arch and again.config == model.config
    assert again.digest == model.digest


def test_loading_is_strict(model, tmp_path):
    model.save_pretrained(tmp_path)
    tensors = read_tensors(tmp_path / "model.safetensors")
    name = sorted(tensors)[0]
    write_tensors(tmp_path / "model.safetensors", {key: t for key, t in tensors.items() if key != name})
    with pytest.raises(WeightsFormatError, match="1 missing"):
        load(tmp_path)


def test_verbs_that_are_not_answered_name_the_systems_that_do(model):
    with pytest.raises(UnsupportedVerbError, match="has no translate.*coco_funit"):
        model.encode_exemplars(None)
    for verb in ("interpolate", "project", "translate"):
        if verb not in VERBS[model.system]:
            with pytest.raises(UnsupportedVerbError, match=verb):
                getattr(model, verb)("0,1")


def test_evaluation_of_samples_is_pointed_to(model):
    with pytest.raises(UnsupportedVerbError, match=r"as have coco_funit, egscit, funit; .*lowshotgan.evaluate\("):
        model.evaluate("reference/")


def test_unknown_options_and_seeds_are_refused(model):
    with pytest.raises(ConfigError):
        draw(model, 2, colour="red")
    with pytest.raises(ConfigError, match="seeds"):
        model.generate(seeds="five")


@pytest.mark.parametrize("options", [{"output_type": "jpg"}, {"batch_size": 0}, {"batch_size": 2.5}])
def test_unusable_ways_of_drawing_are_refused_on_entry(model, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        draw(model, 1, **options)


def test_interpolate_refuses_what_it_does_not_know(model):
    if "interpolate" not in VERBS[model.system]:
        pytest.skip(f"{model.system} has no interpolate")
    with pytest.raises(ConfigError, match=r"interpolate\(\) takes no colour"):
        model.interpolate([0, 1], frames=2, colour="red")


def test_truncation_is_a_number_from_0_to_2(model):
    if "truncation" not in inspect.signature(model.generate).parameters:
        pytest.skip(f"{model.system} has no truncation")
    for value in ("a", -5, 2.5, True, float("nan")):
        with pytest.raises(ConfigError, match="truncation must be a number from 0 to 2"):
            draw(model, 1, truncation=value)
    with pytest.raises(ConfigError, match=r"seeds must be whole numbers, got 1\.5"):
        draw(model, None, seeds=[1.5], truncation=0)


def test_training_changes_the_model_and_leaves_a_loadable_one(model, tmp_path):
    images = to_pil(from_uint8(faces(6, resolution=model.config.resolution, seed=0)))
    before = draw(model, 2).tensor
    result = train_source(
        model,
        DATA.get(model.system, list)(images),
        output_dir=tmp_path / "run",
        training=QUICK[model.system],
        settings=LoopSettings(precision="fp32"),
        device="cpu",
        progress=False,
    )
    assert result.fit.stopped == "finished"
    assert not torch.equal(before, draw(result.model, 2).tensor)
    assert torch.allclose(draw(load(tmp_path / "run"), 2).tensor, draw(result.model, 2).tensor, atol=1e-5)


def test_a_refused_resume_leaves_the_run_as_it_was(tmp_path):
    options = {"data": to_pil(from_uint8(faces(4, resolution=32, seed=0))), "output_dir": tmp_path / "run"}
    options |= {"steps": 1, "batch_size": 2, "precision": "fp32", "device": "cpu", "progress": False}
    arch, config = TINY["stylegan2"]
    train(create_model(arch, **config), **options)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"train\.lr \("):
        train(create_model(arch, **config), lr=0.5, **options)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def test_settings_of_another_type_are_refused_before_anything_is_read(model, tmp_path):
    wrong = {int: 2.5, float: "abc", bool: "no", str: 3}
    found = {name: wrong[hint] for name, hint in get_type_hints(model.Training).items() if hint in wrong}
    assert found
    for name, value in found.items():
        with pytest.raises(ConfigError, match=rf"{name} must be .* got {value!r}"):
            train_source(model, None, output_dir=tmp_path / "run", training={name: value}, progress=False)


@pytest.mark.parametrize("name", ["fitt", "resolution", "images"])
def test_unknown_data_options_are_refused_before_anything_is_read(model, tmp_path, name):
    with pytest.raises(ConfigError, match=f"data of {model.system}: no option '{name}'"):
        train_source(model, None, output_dir=tmp_path / "run", reading={name: "crop"}, progress=False)


def test_unknown_training_settings_are_refused_before_anything_is_written(model, tmp_path):
    images = to_pil(from_uint8(faces(4, resolution=32, seed=0)))
    images = DATA.get(model.system, lambda given: load_images(given, resolution=32))(images)
    with pytest.raises(ConfigError, match="learning_speed"):
        train_source(model, images, output_dir=tmp_path / "run", training={"learning_speed": 1}, progress=False)
    assert not (tmp_path / "run").exists()
