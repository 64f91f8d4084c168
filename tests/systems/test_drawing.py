"""What a model draws from, and what it gives back."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lowshotgan.api import create_model
from lowshotgan.data.dataset import draw_subset
from lowshotgan.errors import ConfigError, UnsupportedVerbError, WeightsFormatError, WeightsNotFoundError
from lowshotgan.hub.tensors import load_strict, write_tensors

TINY = {"channel_base": 128, "channel_max": 8, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model("stylegan2_32", **TINY)


@pytest.mark.parametrize(("form", "kind"), [("pil", Image.Image), ("pt", Tensor), ("np", np.ndarray)])
def test_a_generation_is_a_sequence_of_images(model, form, kind):
    made = model.generate(3, output_type=form)
    assert len(made) == 3 and len(list(made)) == 3
    assert isinstance(made[0], kind) and len(made[1:]) == 2
    assert np.array_equal(np.asarray(made[-1]), np.asarray(list(made)[2]))
    with pytest.raises(IndexError):
        made[3]


def test_calling_a_model_calls_its_generator_with_gradients(model):
    latents = torch.randn(2, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    images = model(latents)
    assert torch.allclose(images.detach(), model.generate(latents=latents.detach()).tensor, atol=1e-5)
    images.sum().backward()
    assert latents.grad.abs().sum() > 0


def test_calling_a_model_that_draws_from_more_says_what_to_call():
    funit = create_model("funit_32", width=4, code_dim=6, mlp_width=8, num_classes=2)
    with pytest.raises(UnsupportedVerbError, match=r"call model\.generate"):
        funit(torch.zeros(1, 6))


def test_latents_may_be_lists_arrays_and_files(model, tmp_path):
    latents = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    write_tensors(tmp_path / "z.safetensors", {"z": latents})
    expected = model.generate(latents=latents).tensor
    for form in (latents.tolist(), latents.numpy().astype(np.float64), tmp_path / "z.safetensors"):
        assert torch.equal(model.generate(latents=form).tensor, expected)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        ([0.0] * 16, "one row for each image"),
        ([[0.0] * 16, [0.0]], "latents must be numbers"),
        ([["a"] * 16], "latents must be numbers"),
        ([[0.0] * 5], r"latents must be \(N, 16\)"),
        (torch.zeros(0, 16), "one row for each image"),
    ],
)
def test_unusable_latents_are_refused(model, latents, message):
    with pytest.raises(ConfigError, match=message):
        model.generate(latents=latents)


def test_a_file_of_several_tensors_is_no_latents(model, tmp_path):
    write_tensors(tmp_path / "two.safetensors", {"a": torch.zeros(1, 16), "b": torch.zeros(1, 16)})
    with pytest.raises(ConfigError, match="holds 2 tensors"):
        model.generate(latents=tmp_path / "two.safetensors")


def test_a_walk_begins_at_given_styles(model, tmp_path):
    found = model.project(model.generate(seeds=[4])[0], steps=2)
    write_tensors(tmp_path / "ws.safetensors", {"ws": found.ws})
    for start in (found.ws, tmp_path / "ws.safetensors", [found.ws]):
        walk = model.interpolate([5], latents=start, frames=3, loop=False, truncation=1.0).tensor
        assert torch.allclose(walk[0], model.generate(latents=found.ws).tensor[0], atol=1e-5)
        assert torch.allclose(walk[-1], model.generate(seeds=[5]).tensor[0], atol=1e-5)
    between = model.interpolate(latents=[found.ws, found.ws * 0], frames=3, loop=False)
    assert torch.allclose(between.latents[1], found.ws[0] / 2)
    with pytest.raises(ConfigError, match="two stops"):
        model.interpolate(latents=found.ws)
    with pytest.raises(ConfigError, match=r"styles \(N, 8, 16\)"):
        model.interpolate([0, 1], latents=torch.zeros(1, 16))


def test_half_weights_project_and_walk(model):
    half = create_model("stylegan2_32", dtype="bfloat16", **TINY)
    half.load_state_dict(model.state_dict())
    assert {one.dtype for one in half.parameters()} == {torch.bfloat16}
    walk = half.interpolate([0, 1], frames=2, loop=False).tensor
    assert (walk - model.interpolate([0, 1], frames=2, loop=False).tensor).abs().max() < 0.2
    found = half.project(model.generate(seeds=[1])[0], steps=20)
    assert found.history[-1] < found.history[0]


def test_a_mistyped_model_names_the_closest_few_and_where_all_are(model):
    with pytest.raises(ConfigError) as error:
        create_model("stylegan_64")
    assert "stylegan2_64" in str(error.value) and "list_models()" in str(error.value)
    assert str(error.value).count("stylegan2_") <= 3


def test_a_mistyped_name_of_weights_says_how_to_list_them():
    with pytest.raises(WeightsNotFoundError, match=r"stylegan2_64\.avatars_v1.*lowshotgan list --pretrained"):
        create_model("stylegan2_64.avatar", pretrained=True)


def test_tensors_of_other_constructor_arguments_say_so(model):
    other = create_model("stylegan2_32", **{**TINY, "z_dim": 12})
    with pytest.raises(WeightsFormatError, match="other constructor arguments"):
        other.load_state_dict(model.state_dict())
    with pytest.raises(WeightsFormatError, match="other constructor arguments"):
        load_strict(other.generator, model.generator.state_dict(), what="weights")


def test_a_number_of_numpy_is_a_number_of_images():
    assert draw_subset(9, np.int64(5), 0) == draw_subset(9, 5, 0)
