"""Fine-tuning from images to report, on a tiny model and drawn faces."""

import json
import os
import signal
import threading

import pytest
import torch

from lowshotgan.api import create_model, finetune, load
from lowshotgan.data.images import from_uint8, to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import CheckpointError, ConfigError, DeltaError, ImageInputError, RecipeError
from lowshotgan.finetune.recipes import RECIPES
from lowshotgan.train.adapt import FinetuneResult

TINY = {"channel_base": 256, "channel_max": 16, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}
COMMON = {"extractor": "tiny", "precision": "fp32", "device": "cpu", "progress": False}


@pytest.fixture(scope="module", autouse=True)
def tiny_extractor():
    """A small random feature network, so that scoring takes no time; scores do not matter here."""
    from lowshotgan.metrics.extractors import extractor_from_module, register_extractor
    from lowshotgan.nets.features import FeatureNet

    torch.manual_seed(0)
    net = FeatureNet(widths=(4, 4, 8, 8), depths=(1, 1, 1, 1)).eval()
    register_extractor(extractor_from_module(net, name="tiny"))


@pytest.fixture
def base():
    torch.manual_seed(0)
    return create_model("stylegan2_32", **TINY)


def pictures(count=4, **options):
    return to_pil(from_uint8(faces(count, resolution=32, **options)))


def run(base, folder, images=None, **options) -> FinetuneResult:
    return finetune(
        base, images or pictures(), output_dir=folder, **{**COMMON, "recipe": "wedit", "steps": 20, **options}
    )


def test_the_run_folder_holds_model_delta_and_report(base, tmp_path):
    before = base.generate(4).tensor
    result = run(base, tmp_path / "run", recipe="auto")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "log.jsonl", "model", "report.html", "report.json", "checkpoints"} <= names
    assert result.steps == 20 and result.stopped == "finished"
    assert torch.equal(before, base.generate(4).tensor)  # the base is left as it was
    adapted = result.model.generate(4).tensor
    assert not torch.allclose(before, adapted)
    assert torch.equal(load(tmp_path / "run").generate(4).tensor, adapted)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["summary"]["k"] == 4 and report["summary"]["recipe"] == "auto"


def test_an_adapted_model_remembers_how_it_was_made(base, tmp_path):
    base.save_pretrained(tmp_path / "base")
    base = load(tmp_path / "base")
    result = run(base, tmp_path / "run", fit="pad", seed=5)
    folder = tmp_path / "run" / "model"
    facts = json.loads((folder / "config.json").read_text())["details"]["finetuning"]
    told = {name: facts[name] for name in ("recipe", "images", "steps", "seed")}
    assert told == {"recipe": "wedit", "images": 4, "steps": 20, "seed": 5}
    assert facts["base"] == {"name": str(tmp_path / "base"), "revision": None, "sha256": base.digest}
    assert facts["preprocessing"]["fit"] == "pad" and facts["settings"] == result.recipe.to_dict()
    measured = json.loads((folder / "metrics.json").read_text())
    assert [one["name"] for one in measured] == ["KD-tiny", "diversity-tiny", "memorised-tiny"]
    assert json.loads((folder / "training_args.json").read_text())["settings"] == facts["settings"]
    assert load(tmp_path / "run").details == result.model.details
    result.model.save_delta(tmp_path / "delta")
    assert load(tmp_path / "delta").details == result.model.details
    half = result.model.blend(0.5)
    assert half.details["blend"] == 0.5 and "blend" not in result.model.details


def test_the_trained_discriminator_is_kept(base, tmp_path):
    before = {name: value.clone() for name, value in base.discriminator.state_dict().items()}
    result = run(base, tmp_path / "run", recipe="tgan", steps=3)
    after = result.model.discriminator.state_dict()
    assert not all(torch.equal(after[name], value) for name, value in before.items())
    assert all(torch.equal(base.discriminator.state_dict()[name], value) for name, value in before.items())
    stored = load(tmp_path / "run").discriminator.state_dict()
    assert all(torch.equal(stored[name], value) for name, value in after.items())


def test_blend_goes_from_base_to_adapted(base, tmp_path):
    result = run(base, tmp_path / "run", lr=0.05)
    start, end = base.generate(3).tensor, result.model.generate(3).tensor
    assert torch.equal(result.model.blend(0.0).generate(3).tensor, start)
    assert torch.equal(result.model.blend(1.0).generate(3).tensor, end)
    half = result.model.blend(0.5).generate(3).tensor
    assert 0 < (half - start).square().mean() < (end - start).square().mean()


def test_a_delta_is_small_and_belongs_to_its_base(base, tmp_path):
    result = run(base, tmp_path / "run")
    path = result.model.save_delta(tmp_path / "mine.safetensors")
    assert path.stat().st_size < 64 * 1024
    assert torch.equal(base.apply_delta(path).generate(2).tensor, result.model.generate(2).tensor)
    torch.manual_seed(1)
    with pytest.raises(DeltaError, match="base weights"):
        create_model("stylegan2_32", **TINY).apply_delta(path)
    with pytest.raises(DeltaError, match="fine-tuned"):
        base.blend(0.5)


def test_an_interrupted_run_ends_as_an_uninterrupted_one(base, tmp_path):
    whole = run(base, tmp_path / "whole", recipe="auto")
    steps = []

    def interrupt(moment):
        steps.append(moment.step)
        if len(steps) == 7:
            os.kill(os.getpid(), signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        run(base, tmp_path / "cut", recipe="auto", callbacks=[interrupt])
    assert not (tmp_path / "cut" / "report.html").exists()
    resumed = run(base, tmp_path / "cut", recipe="auto")
    assert torch.equal(whole.last.generate(4).tensor, resumed.last.generate(4).tensor)
    assert torch.equal(whole.model.generate(4).tensor, resumed.model.generate(4).tensor)
    assert [point["step"] for point in whole.history] == [point["step"] for point in resumed.history]
    lines = [json.loads(line) for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})


def test_other_settings_are_not_resumed_silently(base, tmp_path):
    run(base, tmp_path / "run", steps=4)
    before = (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(CheckpointError, match=r"other settings.*: recipe\.lr \(0\.\d+ before, 0\.5 now\)\. Set"):
        run(base, tmp_path / "run", steps=4, lr=0.5)
    assert (tmp_path / "run" / "config.json").read_text() == before
    run(base, tmp_path / "run", steps=4, lr=0.5, resume="never")


def test_training_moves_the_samples_towards_the_images(base, tmp_path):
    images = pictures(6, style="inverted", seed=3)
    wanted = torch.stack([from_uint8(pixels) for pixels in faces(6, resolution=32, style="inverted", seed=3)]).mean()
    result = run(base, tmp_path / "run", images=images, recipe="tgan", steps=60, lr=0.01, ema_half_life=4.0)
    before, after = base.generate(16).tensor.clamp(-1, 1).mean(), result.last.generate(16).tensor.clamp(-1, 1).mean()
    assert (after - wanted).abs() < 0.6 * (before - wanted).abs()


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_any_number_of_images_works_with_a_larger_batch(base, tmp_path, count):
    result = run(base, tmp_path / "run", images=pictures(count), recipe="auto", steps=4)
    assert result.steps == 4


def test_a_dry_run_resolves_everything_and_writes_nothing(base, tmp_path):
    config = run(base, tmp_path / "run", recipe="auto", dry_run=True)
    assert config["recipe"]["name"] == "auto" and config["images"]["k"] == 4
    assert not (tmp_path / "run").exists()


def test_steps_count_however_the_recipe_is_given(base, tmp_path):
    for options in ({"recipe": RECIPES["rick"], "steps": 100}, {"recipe": "rick", "steps": 100}):
        recipe = run(base, tmp_path / "run", dry_run=True, **options)["recipe"]
        assert recipe["steps"] == 100 and recipe["warm_up"] == 20


def test_the_draw_of_k_images_is_recorded(base, tmp_path):
    first = run(base, tmp_path / "a", images=pictures(9), k=3, dry_run=True)
    again = run(base, tmp_path / "b", images=pictures(9), k=3, dry_run=True)
    assert first["images"]["subset"] == again["images"]["subset"]
    assert len(first["images"]["subset"]["names"]) == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"recipe": "nosuch"}, ConfigError, "recipe must be one of"),
        ({"recipe": 3}, RecipeError, "recipe must be a name"),
        ({"images": []}, ImageInputError, "no images|empty"),
        ({"k": 0}, ImageInputError, "k "),
        ({"k": 99}, ImageInputError, "99"),
        ({"budget": "soon"}, ConfigError, "budget must look like"),
        ({"budget": 0}, ConfigError, "above 0"),
        ({"precision": "fp8"}, ConfigError, "precision must be one of"),
        ({"resume": "perhaps"}, ConfigError, "resume must be one of"),
        ({"resume": "must"}, CheckpointError, "no checkpoint"),
        ({"proximity": "middling"}, ConfigError, "near"),
        ({"lr": -1.0}, RecipeError, "lr"),
        ({"lr_g": 0.1}, RecipeError, "lr_g"),
        ({"batch_size": 0}, RecipeError, "batch"),
        ({"steps": 0}, ConfigError, "steps"),
        ({"extractor": "vgg99"}, ConfigError, "extractor must be one of"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(base, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        finetune(
            base, **{"images": pictures(), "output_dir": tmp_path / "run", **COMMON, "recipe": "wedit", **options}
        )
    assert not (tmp_path / "run" / "model").exists()


def test_a_model_without_discriminator_says_what_to_do(base, tmp_path):
    base.save_pretrained(tmp_path / "base", discriminator=False)
    with pytest.raises(RecipeError, match=r"discriminator\.safetensors"):
        run(load(tmp_path / "base"), tmp_path / "run")


def test_a_folder_with_other_things_is_not_written_to(base, tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(ConfigError, match="holds other files"):
        run(base, tmp_path)
