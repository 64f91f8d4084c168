"""StyleGAN2's warm-up: codes that need no training, and stages that each improve what they are for."""

import pytest
import torch
from resuming import whole_and_cut

from lowshotgan.data.dataset import load_images
from lowshotgan.data.images import from_uint8, to_pil
from lowshotgan.data.synthetic import faces
from lowshotgan.errors import ConfigError
from lowshotgan.systems.stylegan2 import warm_up
from lowshotgan.systems.stylegan2.config import SourceTraining, StyleGAN2Config
from lowshotgan.systems.stylegan2.principal_codes import PrincipalCodes
from lowshotgan.systems.stylegan2.system import StyleGAN2
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine

CONFIG = StyleGAN2Config(resolution=16, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=16)
TRAINING = SourceTraining(
    steps=1, batch_size=8, warm_up_steps=100, anchor_weight=1.0, noise=False, flip=False, path_weight=0.0
)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    for name in ("FLOW_BATCH", "PRIOR_BATCH"):
        monkeypatch.setattr(warm_up, name, 64)


@pytest.fixture(scope="module")
def images():
    return load_images(to_pil(faces(48, style="flat", resolution=16, seed=0)), resolution=16)


def test_codes_are_the_coordinates_of_images_in_their_main_plane(images):
    codes = PrincipalCodes(images, dim=8)
    pixels = from_uint8(images.uint8())
    found = codes(pixels)
    assert found.shape == (48, 8)
    assert torch.allclose(found.mean(dim=0), torch.zeros(8), atol=1e-3)
    assert float(found.square().mean()) == pytest.approx(1.0, abs=1e-3)
    redrawn = codes.mean + found @ torch.linalg.pinv(codes.basis)
    flat = pixels.flatten(1)
    left = (flat - redrawn).square().sum() / (flat - flat.mean(dim=0)).square().sum()
    best = torch.linalg.svdvals(flat - flat.mean(dim=0)).square()
    assert float(left) == pytest.approx(float(best[8:].sum() / best.sum()), abs=0.02)


def test_fewer_images_than_components_are_enough(images):
    few = load_images(to_pil(images.uint8()[:3]), resolution=16)
    assert PrincipalCodes(few, dim=96).dim == 3


def test_each_stage_improves_what_it_is_for(images, tmp_path):
    torch.manual_seed(0)
    system = StyleGAN2(CONFIG, arch="stylegan2_32")
    real = from_uint8(images.uint8())

    def distance_of_means():
        return float((system.generate(32, output_type="pt").tensor - real.mean(dim=0)).abs().mean())

    before = distance_of_means()
    logs = {}

    def watch(moment):
        logs.setdefault(moment.stage.name, []).append(moment.values)

    settings = LoopSettings(precision="fp32")
    fit(system.stages(images, TRAINING), output_dir=tmp_path, machine=Machine("cpu"), settings=settings, hooks=[watch])
    assert list(logs) == ["warm_up", "judge", "flow", "prior", "source"]
    for stage, term in (("warm_up", "reconstruction"), ("judge", "code"), ("flow", "velocity"), ("prior", "fit")):
        values = [entry[name] for entry in logs[stage] for name in entry if name.endswith("/" + term)]
        assert sum(values[-10:]) < 0.9 * sum(values[:10]), stage
    assert distance_of_means() < 0.6 * before


def test_a_warm_up_resumes_in_every_stage(images, tmp_path):
    def build():
        torch.manual_seed(0)
        system = StyleGAN2(CONFIG, arch="stylegan2_32")
        short = SourceTraining(**{**TRAINING.__dict__, "warm_up_steps": 4, "steps": 2})
        return system, system.stages(images, short)

    whole, again = whole_and_cut(build, tmp_path, ("judge", 1), ("flow", 1), ("prior", 1), ("source", 1))
    assert torch.equal(again.generate(2, output_type="pt").tensor, whole.generate(2, output_type="pt").tensor)


def test_an_anchor_without_codes_is_refused():
    with pytest.raises(ConfigError, match="warm_up_steps"):
        SourceTraining(anchor_weight=1.0)
