"""Recolouring as a system: what it keeps, what it takes, the ramp, training and resumption."""

import numpy as np
import pytest
import torch
from resuming import same_tensors, whole_and_cut

from lowshotgan.api import create_model, load, train
from lowshotgan.data.shapes import painted_heads
from lowshotgan.errors import ConfigError, UnsupportedVerbError
from lowshotgan.systems.kggan_recolour.config import RecolourConfig, RecolourTraining
from lowshotgan.systems.kggan_recolour.stages import Ramp

SIZES = {"resolution": 16, "transform_width": 4, "mask_width": 4, "discriminator_width": 4}


def tiny(**options):
    torch.manual_seed(0)
    return create_model("kggan_recolour_64", **{**SIZES, **options})


def heads(n=12):
    drawn = painted_heads(n, resolution=16)
    names = list(dict.fromkeys(drawn.labels))
    return {name: drawn.images[[label == name for label in drawn.labels]] for name in names}


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def pictures():
    return painted_heads(3, resolution=16).images


def test_a_colour_may_be_written_in_many_ways(model, pictures):
    by_text = model.recolor(pictures, color="#3366cc").tensor
    arrays = [np.array([0.2, 0.4, 0.8]), np.array([51, 102, 204], dtype=np.uint8), np.array([[0.2, 0.4, 0.8]] * 3)]
    arrays += [tuple(np.float32([0.2, 0.4, 0.8])), [torch.tensor([0.2, 0.4, 0.8])] * 3, "0.2, 0.4, 0.8"]
    for color in (
        (51, 102, 204),
        (0.2, 0.4, 0.8),
        torch.tensor([0.2, 0.4, 0.8]),
        ["#3366cc"] * 3,
        "36c",
        "51,102,204",
        *arrays,
    ):
        torch.testing.assert_close(model.recolor(pictures, color=color).tensor, by_text, atol=1e-5, rtol=0)
    assert torch.equal(model.generate(content=pictures, color="#3366cc").tensor, by_text)


def test_the_mask_comes_on_request_and_one_image_is_enough(model, pictures):
    made = model.recolor(pictures[:1], color="#3366cc", mask=True)
    assert made.masks.shape == (1, 1, 16, 16) and len(made.images) == 1
    assert model.recolor(pictures, color="#3366cc").masks is None
    torch.testing.assert_close(model.region(pictures[:1]), made.masks)
    single = model.recolor(pictures, color="#3366cc", batch_size=1).tensor
    torch.testing.assert_close(single[0], made.tensor[0], atol=1e-5, rtol=0)


def test_each_image_may_have_its_own_target(model, pictures):
    colours = ["#ff0000", "#00ff00", "#0000ff"]
    together = model.recolor(pictures, color=colours).tensor
    for i, color in enumerate(colours):
        torch.testing.assert_close(together[i], model.recolor(pictures, color=color).tensor[i], atol=1e-5, rtol=0)
    assert len(model.recolor(pictures, category=["black", "blond", "brown"])) == 3
    for category in (1, ["pink"]):
        with pytest.raises(ConfigError, match="category must be one of black, blond, brown"):
            model.recolor(pictures, category=category)


def test_a_sheet_shows_each_image_in_each_colour(model, pictures):
    sheet = model.contact_sheet(pictures[:2], ["#ff0000", "#00ff00"])
    assert sheet.size == (3 * 18 + 2, 2 * 18 + 2)


def test_saving_keeps_both_transforms_and_the_mask(model, pictures, tmp_path):
    model.save_pretrained(tmp_path, discriminator=False)
    again = load(tmp_path)
    assert again.discriminator is None
    assert torch.equal(
        again.recolor(pictures, color="#aa3377").tensor, model.recolor(pictures, color="#aa3377").tensor
    )
    with pytest.raises(ConfigError, match="without its discriminator"):
        next(again.stages(None))


def test_the_ramp_waits_for_the_categories():
    ramp = Ramp(0.5)
    shares = []
    for step in range(200):
        log = {"generator/accuracy": 0.0 if step < 40 else 1.0}
        ramp.on_step(step, log)
        shares.append(log["ramp"])
    passed = ramp.passed_at
    assert 40 < passed < 90 and not any(shares[: passed - 1])
    assert shares[passed - 1 + passed // 2] == pytest.approx((passed // 2) / passed)
    assert shares[2 * passed] == 1.0
    other = Ramp(0.5)
    other.load_state_dict(ramp.state_dict())
    assert other.state_dict() == ramp.state_dict()


def test_training_resumes_bit_for_bit(tmp_path):
    def build():
        model, training = tiny(), RecolourTraining(steps=4, batch_size=4, accuracy=0.001)
        return model, model.stages(model.read_data(heads()), training)

    whole, again = whole_and_cut(build, tmp_path, ("adversarial", 3))
    assert same_tensors([whole.generator], [again.generator])


def test_training_brings_the_region_nearer_to_an_unseen_colour(tmp_path):
    model, drawn = tiny(transform_width=8, mask_width=8), painted_heads(12, resolution=16, seed=5)

    def error(system):
        made = (system.recolor(drawn.images, color="#2040d0").tensor + 1) / 2
        mean = (made * drawn.masks).sum((2, 3)) / drawn.masks.sum((2, 3))
        return float((mean - torch.tensor([0x20, 0x40, 0xD0]) / 255).abs().mean())

    before = error(model)
    data, settings = heads(48), {"steps": 60, "batch_size": 8, "lr": 2e-3, "ema_half_life": 5.0}
    run = train(model, data, output_dir=tmp_path / "r", precision="fp32", device="cpu", progress=False, **settings)
    assert error(run.model) < 0.8 * before


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "needs a colour or a category"), ({"color": "#fff", "category": "black"}, "needs a colour or a category"),
     ({"color": "#12345"}, "#3b7dd8"),
     ({"color": "1,2,x"}, "59,125,216"), ({"color": np.array([True, False, True])}, "three channels"),
     ({"color": (0.5, 1, 0.5)}, "mixes"), ({"color": (300, 0, 0)}, "0 to 255"),
     ({"color": (1.5, 0.0, 0.0)}, r"\[0, 1\]"), ({"color": (float("nan"), 0.0, 0.0)}, r"\[0, 1\]"),
     ({"color": ["#fff", "#000"]}, "2 targets for 3"), ({"category": "blonde"}, "blond")],
)  # fmt: skip
def test_unusable_targets_say_what_is_expected(model, pictures, options, message):
    with pytest.raises(ConfigError, match=message):
        model.recolor(pictures, **options)


def test_generate_without_content_says_what_to_do(model):
    with pytest.raises(ConfigError, match=r"recolor\(images"):
        model.generate(2)
    with pytest.raises(UnsupportedVerbError, match="kggan_recolour"):
        create_model("stylegan2_32", channel_base=128, channel_max=8).recolor(None)


@pytest.mark.parametrize(
    "options",
    [{"categories": ["black"]}, {"categories": ["a", "a"]}, {"hidden": 3}, {"resolution": 20}, {"mask_width": 0}],
)
def test_unusable_configurations_are_refused(options):
    with pytest.raises(ConfigError):
        RecolourConfig(**options)


@pytest.mark.parametrize(
    "options", [{"cycle_weight": (1.0,)}, {"shift": 0.9}, {"foreground_share": 2}, {"colour_weight": -1}]
)
def test_unusable_training_settings_are_refused(options):
    with pytest.raises(ConfigError):
        RecolourTraining(**options)


def test_networks_on_cells_are_small_and_the_mask_still_fine():
    torch.manual_seed(0)
    sizes = {"resolution": 32, "transform_width": 4, "mask_width": 4, "discriminator_width": 4}
    model = create_model("kggan_recolour_64", **sizes, cell=2, discriminator_cell=2)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    made = model.generator.to_colour(images, torch.zeros(2, 3))
    assert made.mask.shape == (2, 1, 32, 32) and made.images.shape == images.shape
    assert torch.equal(made.mask[:, :, ::2, ::2], made.mask[:, :, 1::2, 1::2])  # no pattern at the start
    patches, categories = model.discriminator(images)
    assert patches.shape == (2, 1, 2, 2) and categories.shape == (2, 3)
    again = model.generator.to_colour(images, torch.zeros(2, 3), mask=made.mask)
    assert torch.equal(again.images, made.images)
    torch.nn.init.normal_(model.generator.mask.refine[-1].weight)
    fine = model.generator.mask(images)
    assert not torch.equal(fine[:, :, ::2, ::2], fine[:, :, 1::2, 1::2])
    with pytest.raises(ConfigError, match="cell must be a power of two"):
        create_model("kggan_recolour_64", **sizes, cell=3)
