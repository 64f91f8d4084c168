"""The generators of LaDo, GenHo and PFS-GAN that are drawn from are running averages of the trained ones."""

from dataclasses import replace

import pytest
import torch

from lowshotgan import create_model
from lowshotgan.systems import paired_training as paired
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine

SMALL = {
    "lado_64": {"width": 8, "content_dim": 4, "appearance_dim": 3},
    "genho_64": {"width_base": 64, "width_max": 8, "z_dim": 6},
    "pfsgan_64": {"width": 8, "content_dim": 4, "appearance_dim": 4, "encoder": "conv", "encoder_width": 4},
}
TRAINING = {"lado_64": {}, "genho_64": {}, "pfsgan_64": {"features": "random"}}
FINETUNING = {
    "lado_64": {"align_steps": 0, "perceptual": "pixels"},
    "genho_64": {"appearance_steps": 1, "encoder_steps": 1, "refine_steps": 0, "bank": 20, "perceptual": "pixels"},
    "pfsgan_64": {"features": "random"},
}
ARCHES = pytest.mark.parametrize("arch", sorted(SMALL))


@pytest.fixture(autouse=True)
def short_stages_are_averaged(monkeypatch):
    monkeypatch.setattr(paired, "FEWEST_AVERAGED", 4)


def make(arch):
    torch.manual_seed(0)
    return create_model(arch, resolution=16, **SMALL[arch])


def source_stage(model, sources, **settings):
    training = model.Training(batch_size=8, lr=1e-2, **TRAINING[model.arch])
    return list(model.stages(model.read_data(sources), replace(training, **settings)))[-1]


def target_stage(model, pairs, folder, **settings):
    """The last stage of a fine-tuning, after those before it were run."""
    training = model.FineTuning(batch_size=8, lr=1e-2, **FINETUNING[model.arch])
    stages = model.finetune_stages(model.read_shots(pairs), replace(training, **settings))
    for number, stage in enumerate(stages):
        if stage.name in ("joint", "target"):
            return stage
        run(stage, folder / str(number))
    raise AssertionError("no stage of the target")


def run(stage, folder):
    fit([stage], output_dir=folder, machine=Machine("cpu"), settings=LoopSettings(precision="fp32"))


def values(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def check_average(stage, kept, folder):
    (pairs,) = ([pair for pair in stage.averages.values() if pair[1] is kept],)
    (live, _), start = pairs[0], values(kept)
    assert torch.equal(values(live), start)
    run(stage, folder)
    moved = (values(live) - start).norm()
    assert 0 < (values(kept) - start).norm() < moved
    assert 0 < (values(kept) - values(live)).norm() < moved  # on the way from the start to where the live one is


@ARCHES
def test_a_source_generator_is_an_average(arch, sources, tmp_path):
    model = make(arch)
    check_average(source_stage(model, sources, steps=4), model.generator.image.source, tmp_path)


@ARCHES
def test_a_target_generator_is_an_average(arch, pairs, tmp_path):
    model = make(arch)
    stage = target_stage(model, pairs, tmp_path, steps=4, ema_half_life=2.0)
    check_average(stage, model.generator.image.target, tmp_path / "target")


@ARCHES
@pytest.mark.parametrize("settings", [{"steps": 3}, {"steps": 4, "ema_half_life": 0.0}])
def test_without_an_average_the_trained_generator_is_kept(arch, settings, sources):
    model = make(arch)
    stage = source_stage(model, sources, **settings)
    assert not stage.averages
    assert any(module is model.generator.image.source for module in stage.modules.values())


@ARCHES
def test_the_release_has_no_averages(arch):
    model = make(arch)
    for settings in (model.Training, model.FineTuning):
        assert settings(**settings.PRESETS["parity"]).ema_half_life == 0 < settings().ema_half_life


@pytest.mark.parametrize(
    ("batch_size", "shots", "world_size", "expected"),
    [(64, 1, 1, 8), (64, 10, 1, 10), (64, 33, 2, 34), (64, 1, 8, 16), (2, 1, 2, 4), (4, 65, 1, 4)],
)
def test_every_process_has_shots_enough_to_normalise_over(batch_size, shots, world_size, expected):
    assert paired.shots_per_step(batch_size, shots, world_size) == expected
