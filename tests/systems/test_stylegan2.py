"""StyleGAN2 as a system: projection, and a training that goes on with the same object."""

import pytest
import torch

from lowshotgan.api import create_model, train
from lowshotgan.data.images import to_pil
from lowshotgan.errors import CheckpointError, ConfigError

TINY = {"resolution": 8, "channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
QUICK = {"batch_size": 2, "precision": "fp32", "device": "cpu", "progress": False}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_model("stylegan2_32", **TINY)


@pytest.fixture
def images():
    return to_pil(torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def test_a_projection_is_the_best_that_was_tried_and_leaves_no_gradients(model, images):
    found = model.project(images[0], steps=40)
    assert found.distance == pytest.approx(min(found.history))
    assert torch.allclose(model.generate(latents=found.ws).tensor, found.tensor, atol=1e-6)
    assert all(parameter.grad is None for parameter in model.generator.parameters())


@pytest.mark.parametrize("options", [{"steps": 2.5}, {"steps": 0}, {"seed": "a"}])
def test_a_projection_takes_whole_numbers(model, images, options):
    with pytest.raises(ConfigError, match="must be a whole number"):
        model.project(images[0], **options)


def test_a_model_that_was_trained_may_be_passed_again_to_go_on(model, images, tmp_path):
    assert train(model, images, output_dir=tmp_path / "run", steps=1, **QUICK).steps == 1
    assert train(model, images, output_dir=tmp_path / "run", steps=3, **QUICK).steps == 3
    model.details["constraints"] = {"dark": 1.0}  # noted by the user, not by a training
    with pytest.raises(CheckpointError, match="model.details"):
        train(model, images, output_dir=tmp_path / "run", steps=4, **QUICK)
