"""The ways to fine-tune: which one a model and a recipe lead to, and what each refuses."""

import dataclasses

import pytest
import torch

from lowshotgan.api import create_model, finetune, load
from lowshotgan.errors import ConfigError, RecipeError
from lowshotgan.finetune.recipes import RECIPES
from lowshotgan.systems.fastgan.system import FastGAN
from lowshotgan.systems.registry import ARCHS
from lowshotgan.train.adapt import FinetuneResult
from lowshotgan.train.source import TrainResult

TINY = {"channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}
QUICK = {"precision": "fp32", "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def base():
    return create_model("stylegan2_64", **TINY)


@pytest.fixture(autouse=True)
def small_fastgan(monkeypatch):
    widths = {"generator_width": 4, "discriminator_width": 4, "z_dim": 16}
    for side in (32, 64):
        monkeypatch.setitem(ARCHS, f"fastgan_{side}", ("fastgan", {"resolution": side, **widths}))
    monkeypatch.setattr(FastGAN, "statistics_samples", 8)


def noise(count):
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_recipe_from_scratch_trains_a_fastgan_on_the_images(base, tmp_path):
    options = {"recipe": "fastgan", "batch_size": 4, "perceptual": "random", **QUICK}
    settings = finetune(base, noise(50), output_dir=tmp_path / "dry", steps=9, k=50, dry_run=True, **options)
    assert settings["model"]["arch"] == "fastgan_64" and settings["data"]["count"] == 50 and settings["steps"] == 9
    trained = {name: settings["train"][name] for name in ("lr", "batch_size", "augment")}
    assert trained == {"lr": RECIPES["fastgan"].lr, "batch_size": 4, "augment": RECIPES["fastgan"].augment.policy}
    assert not (tmp_path / "dry").exists()
    result = finetune(base, noise(50), output_dir=tmp_path / "run", steps=2, **options)
    assert (result.steps, result.stopped, result.report_path) == (2, "finished", None)
    assert torch.equal(load(tmp_path / "run").generate(2).tensor, result.model.generate(2).tensor)


def test_the_seed_decides_the_start_of_a_recipe_from_scratch(base, tmp_path):
    def weights(folder, seed):
        torch.rand(3)  # what was drawn before does not matter
        options = {"recipe": "fastgan", "steps": 1, "batch_size": 4, "lr": 1e-9, "perceptual": "random", **QUICK}
        result = finetune(base, noise(50), output_dir=tmp_path / folder, seed=seed, **options)
        return result.model.generator.to_big.weight.detach()

    first = weights("a", 0)
    assert torch.equal(weights("b", 0), first)
    assert not torch.allclose(weights("c", 1), first)


def test_the_recipe_trains_at_32_px_too(tmp_path):
    base = create_model("stylegan2_32", **{**TINY, "resolution": 32})
    options = {"recipe": "fastgan", "batch_size": 4, "perceptual": "random", **QUICK}
    result = finetune(base, noise(50), output_dir=tmp_path / "run", steps=2, **options)
    again = load(tmp_path / "run")
    assert again.arch == "fastgan_32" and again.generate(2).tensor.shape == (2, 3, 32, 32)
    assert torch.equal(again.generate(2).tensor, result.model.generate(2).tensor)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"images": noise(10)}, RecipeError, "at least 50 images, got 10"),
        ({"proximity": "near", "extractor": "lsg1"}, RecipeError, "leave out proximity='near', extractor='lsg1'"),
        ({"recipe": dataclasses.replace(RECIPES["fastgan"], lr=0.1)}, RecipeError, "lr=0.0001"),
        ({"d_lr": 0.1}, ConfigError, "unknown train setting d_lr"),
        ({"model": create_model("stylegan2_32", **{**TINY, "resolution": 16})}, RecipeError, "there is no fastgan_16"),
    ],
)
def test_a_recipe_from_scratch_says_what_it_cannot_use(base, tmp_path, options, error, says):
    known = {"model": base, "images": noise(50), "recipe": "fastgan", "output_dir": tmp_path / "run", **QUICK}
    with pytest.raises(error, match=says):
        finetune(**{**known, **options})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [{"recipe": "cdc"}, {"proximity": "near"}, {"extractor": "lsg1"}])
def test_stages_of_a_systems_own_refuse_what_they_would_ignore(tmp_path, option):
    model = create_model("lado_32", resolution=16, content_dim=6, appearance_dim=4, width=4)
    ((name, value),) = option.items()
    with pytest.raises(RecipeError, match=f"lado describes its own fine-tuning; leave out {name}='{value}'"):
        finetune(model, pairs="nowhere", output_dir=tmp_path / "run", **option, **QUICK)


def test_a_system_that_is_only_trained_names_those_that_are_adapted(tmp_path):
    model = create_model("egscit_28", width=4, discriminator_width=4)
    with pytest.raises(RecipeError, match=r"egscit models are not fine-tuned.* adapts coco_funit, funit, .*stylegan2"):
        finetune(model, noise(3), output_dir=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["run", "run/model", "run/../run"])
def test_the_base_is_not_written_over(base, tmp_path, place):
    base.save_pretrained(tmp_path / "run" / "model")
    (tmp_path / "run" / "checkpoints").mkdir()
    with pytest.raises(ConfigError, match="holds the base model; give another folder"):
        finetune(tmp_path / place, noise(4), output_dir=tmp_path / "run", resume="never", **QUICK)


def test_pairs_and_images_are_told_apart(base, tmp_path):
    with pytest.raises(ConfigError, match="pass images, not pairs"):
        finetune(base, pairs="nowhere", output_dir=tmp_path / "run", **QUICK)
    model = create_model("lado_32", resolution=16, content_dim=6, appearance_dim=4, width=4)
    for given in ({}, {"images": "a", "pairs": "b"}):
        with pytest.raises(ConfigError, match="either images or pairs"):
            finetune(model, output_dir=tmp_path / "run", **given, **QUICK)


def test_every_way_returns_a_train_result():
    assert issubclass(FinetuneResult, TrainResult)
    assert {"steps", "seconds", "stopped"} <= set(dir(TrainResult))
