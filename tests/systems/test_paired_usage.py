"""What the systems that learn from pairs refuse beforehand, partners made by a function, blending, fallbacks."""

import pytest
import torch
from paired_worlds import FP32, SHORT, SMALL, small
from PIL import ImageOps

from lowshotgan.api import finetune, load
from lowshotgan.data.images import from_uint8
from lowshotgan.errors import ConfigError, ImageInputError, WeightsNotFoundError
from lowshotgan.systems import torchvision_weights
from lowshotgan.systems.genho.config import GenHoFineTuning
from lowshotgan.systems.lado.config import LaDoFineTuning


def tune(model, folder, **options):
    return finetune(model, output_dir=folder, **(SHORT[model.system] | FP32 | options))


@pytest.fixture(scope="module", params=SMALL)
def adapted(request, pairs, tmp_path_factory):
    return tune(small(request.param), tmp_path_factory.mktemp("run"), pairs=pairs).model


# ---- refused before anything is built ----


@pytest.mark.parametrize("system", SMALL)
def test_a_dry_run_refuses_targets_without_partners(system, pairs, tmp_path):
    with pytest.raises(ConfigError, match="10 shots have no source partners"):
        tune(small(system), tmp_path / "run", images=pairs[1], dry_run=True)
    assert tune(small(system), tmp_path / "run", images=pairs[1], partners="invert", dry_run=True)["train"]


@pytest.mark.parametrize("system", ["lado", "genho"])
def test_a_dry_run_refuses_a_model_without_discriminator(system, pairs, tmp_path):
    small(system).save_pretrained(tmp_path / "model", discriminator=False)
    with pytest.raises(ConfigError, match="model has no discriminator"):
        tune(load(tmp_path / "model"), tmp_path / "run", pairs=pairs, dry_run=True)


def test_pfsgan_needs_no_discriminator(pairs, tmp_path):
    small("pfsgan").save_pretrained(tmp_path / "model", discriminator=False)
    assert tune(load(tmp_path / "model"), tmp_path / "run", pairs=pairs, dry_run=True)


@pytest.mark.parametrize(
    ("system", "options"),
    [("lado", {"perceptual": "vgg"}), ("genho", {"perceptual": "vgg"}), ("pfsgan", {"features": "vgg"})],
)
def test_a_dry_run_refuses_networks_that_are_not_there(system, options, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsNotFoundError, match="does not exist"):
        tune(small(system), tmp_path / "run", pairs=pairs, dry_run=True, **options)


# ---- partners made by a function ----


@pytest.mark.parametrize("system", SMALL)
def test_partners_may_be_a_function(system, pairs, tmp_path):
    run = tune(small(system), tmp_path / "made", images=pairs[1], partners=ImageOps.invert)
    inverted = [ImageOps.invert(image) for image in pairs[1]]
    given = tune(small(system), tmp_path / "given", pairs=(inverted, pairs[1]))
    assert torch.equal(run.model.generate(3).tensor, given.model.generate(3).tensor)


def test_what_a_function_makes_must_be_an_image_of_the_same_size(pairs, tmp_path):
    model = small("lado")
    with pytest.raises(ImageInputError, match="image 0: partners made a int of it; it must return a PIL image"):
        tune(model, tmp_path / "run", images=pairs[1], partners=lambda image: 3)
    with pytest.raises(ImageInputError, match="equal sizes"):
        tune(model, tmp_path / "run", images=pairs[1], partners=lambda image: image.resize((8, 8)))
    with pytest.raises(ConfigError, match="partners already"):
        tune(model, tmp_path / "run", pairs=pairs, partners=ImageOps.invert)
    with pytest.raises(ConfigError, match="given, invert"):
        tune(model, tmp_path / "run", images=pairs[1], partners="mirror")


# ---- blending ----


def test_a_blend_goes_from_the_source_to_the_target(adapted, tmp_path):
    source, target = (adapted.generate(4, domain=domain).tensor for domain in ("source", "target"))
    assert torch.equal(adapted.blend(1).generate(4).tensor, target)
    torch.testing.assert_close(adapted.blend(0).generate(4).tensor, source, atol=2e-2, rtol=0)
    half = adapted.blend(0.5)
    ours, theirs = (dict(one.generator.image.target.named_parameters()) for one in (adapted, half))
    start = dict(adapted.generator.image.source.named_parameters())
    assert all(torch.allclose(theirs[name], (start[name] + ours[name]) / 2, atol=1e-6) for name in ours)
    half.save_pretrained(tmp_path)
    assert torch.equal(load(tmp_path).generate(2).tensor, half.generate(2).tensor)
    assert torch.equal(adapted.generate(4).tensor, target), "the model itself stays as it is"


def test_a_blend_needs_a_target_and_a_number(adapted):
    with pytest.raises(ConfigError, match="no target domain yet"):
        small(adapted.system).blend(0.5)
    with pytest.raises(ConfigError, match="strength must be a number"):
        adapted.blend("half")


# ---- reading content ----


def test_content_is_read_by_the_shared_encoder(adapted, pairs):
    images = from_uint8(adapted.read_shots(pairs).rows["target"])
    codes = adapted.content_codes(images)
    expected = {"lado": (10, 6), "genho": (10, 8, 8, 8), "pfsgan": None}[adapted.system]
    assert (None if codes is None else codes.shape) == expected


# ---- the released fallback ----


@pytest.mark.parametrize(("settings", "system"), [(LaDoFineTuning, "lado"), (GenHoFineTuning, "genho")])
def test_parity_falls_back_to_the_discriminator_and_the_default_to_pixels(settings, system, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert not torchvision_weights.weights_file("vgg19").exists()
    model = small(system)
    assert model.perceive(settings(**settings.PRESETS["parity"])).name == "disc"
    assert model.perceive(settings()).name == "pixels"
