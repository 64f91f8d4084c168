"""Grey images through the systems that learn from pairs: one channel in, one channel out."""

import pytest
import torch
from paired_worlds import FP32, SHORT, SMALL, small

from lowshotgan.api import create_model, finetune, load, train
from lowshotgan.data.preprocess import Preprocess
from lowshotgan.errors import ConfigError
from lowshotgan.nets.residual import ResidualDiscriminator
from lowshotgan.systems.partners import find_partners
from lowshotgan.systems.perception import load_perception
from lowshotgan.systems.pfsgan.colour_shift import ColourShift

TRAINING = {"lado": {}, "genho": {}, "pfsgan": {"features": "random", "adversarial_from": 99.0}}


def grey(images):
    return [image.convert("L") for image in images]


@pytest.mark.parametrize("system", SMALL)
def test_a_grey_model_is_trained_tuned_saved_and_loaded(system, pairs, sources, tmp_path):
    base = train(
        small(system, channels=1),
        sources,
        output_dir=tmp_path / "base",
        steps=2,
        batch_size=8,
        **TRAINING[system],
        **FP32,
    ).model
    run = finetune(base, pairs=pairs, output_dir=tmp_path / "run", **SHORT[system], **FP32)
    made = run.model.generate(3, domain="both")
    assert made.tensor.shape == (3, 1, 16, 32) and [image.mode for image in made.images] == ["L"] * 3
    assert made.grid().size == (2 * 34 + 2, 2 * 18 + 2)
    assert run.model.generate(2, output_type="np").images.shape == (2, 16, 16, 1)
    again = load(tmp_path / "run")
    assert again.config.channels == 1
    assert torch.equal(again.generate(3, domain="both").tensor, made.tensor)


@pytest.mark.parametrize("system", SMALL)
def test_colours_are_read_by_their_luminance(system, pairs):
    model = small(system, channels=1)
    coloured, plain = model.read_shots(pairs), model.read_shots(tuple(map(grey, pairs)))
    assert coloured.rows["source"].shape == (10, 1, 16, 16)
    assert torch.equal(coloured.rows["source"], plain.rows["source"])
    drawn = model.generate(content=pairs[0][:2]).tensor
    assert drawn.shape == (2, 1, 16, 16) and torch.equal(drawn, model.generate(content=grey(pairs[0][:2])).tensor)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [16, 32, 128])
@pytest.mark.parametrize("system", SMALL)
def test_sizes_and_channels(system, resolution, channels):
    arch, arguments = SMALL[system]
    model = create_model(arch, **(arguments | {"resolution": resolution, "channels": channels})).eval()
    assert model.generate(1, domain="source").tensor.shape == (1, channels, resolution, resolution)
    judge = getattr(model.discriminator, "source", model.discriminator)
    assert judge(torch.zeros(2, channels, resolution, resolution)).shape == (2, 1)
    other = create_model(arch, **(arguments | {"resolution": resolution, "channels": 4 - channels}))
    counts = [sum(p.numel() for p in one.generator.parameters()) for one in (model, other)]
    last = next(m for m in reversed(list(model.generator.image.source.modules())) if isinstance(m, torch.nn.Conv2d))
    more = 2 * (9 * last.in_channels + 1)  # the last convolution alone differs
    assert counts[0] - counts[1] == (more if channels == 3 else -more)


@pytest.mark.parametrize("system", SMALL)
def test_other_numbers_of_channels_are_refused(system):
    with pytest.raises(ConfigError, match=r"channels must be 3 \(colour\) or 1 \(grey\), got 2"):
        small(system, channels=2)
    with pytest.raises(ConfigError, match="channels must be 1 or 3, got 4"):
        Preprocess(16, channels=4)


@pytest.mark.parametrize("choice", ["pixels", "disc", "lsg1"])
def test_distances_of_grey_images(choice):
    a, b = torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    distance = load_perception(choice, ResidualDiscriminator([4, 4, 4], channels=1), device=torch.device("cpu"))
    assert distance(a, b).min() > 0 == distance(a, a).max()
    if choice != "disc":
        as_colour = distance(a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1))
        torch.testing.assert_close(distance(a, b), as_colour)


def test_grey_shots_have_no_colours_to_shift():
    shots = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(ColourShift.of(shots)(shots, torch.zeros(2, 2)), shots)


@pytest.mark.parametrize("choice", ["pixels", "disc"])
def test_partners_of_grey_shots_are_searched_by_grey_edges(choice):
    model = small("lado", channels=1)
    distance = load_perception(choice, model.discriminator.source, device=torch.device("cpu"))
    shots = torch.randint(0, 256, (2, 1, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    found = find_partners(shots, lambda z: model.draw(z, "source"), distance, z_dim=model.z_dim, bank=8, steps=2)
    assert found.shape == (2, 1, 16, 16) and found.dtype == torch.uint8
