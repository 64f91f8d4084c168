"""EGSC-IT as a system: terms by hand, its two stages, options of translation, bad input."""

import copy

import pytest
import torch

from lowshotgan.api import create_model
from lowshotgan.data.domains import Zoomed, load_domains
from lowshotgan.data.images import to_pil
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError, ImageInputError, WeightsNotFoundError
from lowshotgan.nets.egscit import Discriminators, MaskNet
from lowshotgan.systems.base import make_config
from lowshotgan.systems.egscit.config import EGSCITTraining
from lowshotgan.systems.egscit.stages import MaskLosses, TranslationLosses, falling
from lowshotgan.systems.egscit.system import EGSCIT
from lowshotgan.systems.frozen_features import FeatureMaps, load_maps
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.phases import only_trainable
from lowshotgan.types import Batch

TINY = {"resolution": 20, "width": 4, "levels": 2, "discriminator_width": 4}
QUICK = {"batch_size": 2, "perceptual": "random", "judge_every": 2}


def make_system(**changes):
    torch.manual_seed(0)
    return create_model("egscit_64", **{**TINY, **changes})


def noise(number, seed=0):
    return torch.rand(number, 3, 20, 20, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Silence(Draws):
    """Draws whose noise is none."""

    def normal(self, batch, *shape):
        return torch.zeros(batch, *shape)


@pytest.fixture
def domains():
    """Dark and bright images."""
    return {"dark": to_pil(noise(3) * 0.4 - 0.5), "bright": to_pil(noise(4, 1) * 0.4 + 0.5)}


def maps(images):
    return [images, images[:, :, ::2, ::2] ** 2]


@pytest.fixture
def step():
    system = make_system()
    for parameter in system.generator.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    batch = Batch({"a": noise(2, 1), "b": noise(2, 2)}, Silence(0), 0, 0.0)
    losses = TranslationLosses(
        system.generator, system.discriminator, FeatureMaps("test", maps), adain="standard", mask=True
    )  # fmt: skip
    return system, losses, batch


# ---- losses ----


def test_translation_terms_by_hand(step):
    system, losses, batch = step
    net, judge, a, b = system.generator, system.discriminator, batch.images["a"], batch.images["b"]
    masks, styles = [net.mask(a, "a"), net.mask(b, "b")], [net.statistics(a, "a"), net.statistics(b, "b")]
    z_a, z_b = net.encode(a, "a"), net.encode(b, "b")
    ab, ba = net.draw(z_a, "b", masks[0], styles[1]), net.draw(z_b, "a", masks[1], styles[0])
    aa, bb = net.draw(z_a, "a", masks[0], styles[0]), net.draw(z_b, "b", masks[1], styles[1])
    z_ab, z_ba = net.encode(ab, "b"), net.encode(ba, "a")
    aba, bab = net.draw(z_ab, "a", masks[0], styles[0]), net.draw(z_ba, "b", masks[1], styles[1])

    def mean(x):
        return x.flatten(1).mean(1)

    terms = losses.generator_terms(batch)
    expected = {
        "adversarial": mean((judge(ab, "b") - 1) ** 2) + mean((judge(ba, "a") - 1) ** 2),
        "reconstruction": mean((aa - a).abs()) + mean((bb - b).abs()),
        "cycle": mean((aba - a).abs()) + mean((bab - b).abs()),
        "latent": sum(mean(z**2) for z in (z_a, z_b, z_ab, z_ba)),
    }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-5)
    judged = mean((judge(a, "a") - 1) ** 2) + mean(judge(ba, "a") ** 2)
    judged = 0.5 * (judged + mean((judge(b, "b") - 1) ** 2) + mean(judge(ab, "b") ** 2))
    torch.testing.assert_close(losses.discriminator_terms(batch)["adversarial"], judged, rtol=1e-4, atol=1e-5)

    def unit(x):
        flat = x.flatten(2)
        return flat / flat.norm(dim=2, keepdim=True)

    content = style = 0.0
    for made, source, exemplar in ((ab, a, b), (ba, b, a)):
        for number, (m, s, e) in enumerate(zip(maps(made), maps(source), maps(exemplar), strict=True), start=1):
            content = content + number / 2 * (unit(m) - unit(s)).abs().mean((1, 2))
            grams = [unit(x) @ unit(x).transpose(1, 2) / unit(x).shape[2] for x in (m, e)]
            style = style + (grams[0] - grams[1]).abs().mean((1, 2))
    torch.testing.assert_close(terms["content"], content, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms["style"], style, rtol=1e-4, atol=1e-6)


def test_mask_terms_by_hand():
    torch.manual_seed(0)
    masks = torch.nn.ModuleDict({domain: MaskNet(width=4, levels=2) for domain in "ab"})
    judge = Discriminators(width=4)
    batch = Batch({"a": noise(2, 1), "b": noise(2, 2)}, Silence(0), 0, 0.0)
    terms = MaskLosses(masks, judge).generator_terms(batch)
    expected = {"adversarial": 0.0, "reconstruction": 0.0, "latent": 0.0}
    for domain in "ab":
        latents = masks[domain].encode(batch.images[domain])
        drawn = masks[domain].draw(latents)
        expected["adversarial"] += ((judge(drawn, domain) - 1) ** 2).flatten(1).mean(1)
        expected["reconstruction"] += (drawn - batch.images[domain]).abs().flatten(1).mean(1)
        expected["latent"] += (latents**2).flatten(1).mean(1)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-6)


def test_noise_reaches_the_latents(step):
    _, losses, batch = step
    noisy = Batch(batch.images, Draws(0), 0, 0.0)
    assert losses.generator_terms(noisy)["latent"].mean() > losses.generator_terms(batch)["latent"].mean() + 2


# ---- stages ----


def stages_of(system, domains, **settings):
    training = EGSCITTraining(**{**QUICK, "steps": 2, "mask_steps": 2, **settings})
    return system.stages(system.read_data(domains), training)


def run(system, domains, folder, *, budget=None, **settings):
    loop = LoopSettings(precision="fp32", budget=budget)
    return fit(stages_of(system, domains, **settings), output_dir=folder, machine=Machine("cpu"), settings=loop)


def test_the_first_stage_gives_the_style_encoders_and_the_second_leaves_them(domains, tmp_path):
    system = make_system()
    stages = stages_of(system, domains)
    first = next(stages)
    for values in first.modules["masks"].parameters():
        torch.nn.init.normal_(values, std=0.08)
    second = next(stages)
    for domain in "ab":
        learnt = first.modules["masks"][domain].encoder.state_dict()
        given = system.generator.style_encoders[domain].state_dict()
        assert all(torch.equal(value, given[name]) for name, value in learnt.items())
    assert (first.name, second.name, second.phases[0].every) == ("masks", "translation", 2)
    batch = Batch(next(second.batches), Draws(0), 0, 0.0)
    with only_trainable(second, "generator"):
        sum(term.mean() for term in second.phases[1].terms(batch).values()).backward()
    for name, parameter in system.generator.named_parameters():
        assert (parameter.grad is None) == name.startswith("style_encoders"), name
    assert all(parameter.grad is None for parameter in system.discriminator.parameters())
    with only_trainable(second, "judge"):
        second.phases[0].terms(batch)["adversarial"].mean().backward()
    assert all(parameter.grad is not None for parameter in system.discriminator.parameters())
    assert second.preview().shape[1:] == (3, 20, 20)


def test_a_run_stopped_in_the_first_stage_resumes_to_the_same_model(domains, tmp_path):
    whole, parts = make_system(), make_system()
    torch.manual_seed(1)
    assert run(whole, domains, tmp_path / "whole").stopped == "finished"
    torch.manual_seed(1)
    assert run(parts, domains, tmp_path / "parts", budget=1e-6).stopped == "budget"
    parts = make_system()
    assert run(parts, domains, tmp_path / "parts").steps == 2
    assert parts.details["perceptual"] == "random"
    for (name, a), b in zip(whole.generator.named_parameters(), parts.generator.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-7, rtol=1e-5, msg=name)


def test_training_brings_translations_near_the_other_domain(domains, tmp_path):
    system = make_system()
    content, exemplars = noise(3) * 0.4 - 0.5, noise(4, 1) * 0.4 + 0.5
    settings = {"steps": 120, "mask_steps": 20, "lr": 3e-3, "batch_size": 2, "content_weight": 0.0}

    def distance():
        made = system.translate(content, exemplars, direction="b2a").tensor
        return float((made.mean() - exemplars.mean()).abs())

    before = distance()
    run(system, {"x": domains["bright"], "y": domains["dark"]}, tmp_path, style_weight=0.0, **settings)
    assert before > 0.3 and distance() < 0.5 * before
    assert system.details["domains"] == {"a": "x", "b": "y"} and system.details["perceptual"] is None


def test_the_rate_falls_by_a_power():
    assert falling(0.0) == 1 and falling(1.0) == 0 and falling(0.5) == pytest.approx(0.5**0.9)


# ---- translating ----


@pytest.fixture(scope="module")
def model():
    system = make_system()
    for parameter in system.generator.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    return system


def test_options_reach_the_networks(model):
    content, exemplars = noise(2), noise(3, 1)
    net, code = model.generator, model.generator.statistics(exemplars, "b").mean(0, keepdim=True)
    latents, mask = net.encode(content, "a"), net.mask(content, "a")
    made = model.translate(content, exemplars).tensor
    torch.testing.assert_close(made, net.draw(latents, "b", mask, code).detach(), atol=1e-5, rtol=1e-4)
    bare = model.translate(content, exemplars, mask=False, adain="egscit_code").tensor
    expected = net.draw(latents, "b", None, code, "egscit_code").detach()
    torch.testing.assert_close(bare, expected, atol=1e-5, rtol=1e-4)
    back = model.translate(content, exemplars, direction="b2a").tensor
    assert (back - made).abs().max() > 1e-3


def test_translation_is_deterministic_and_noise_has_a_seed(model):
    content = noise(2)
    assert torch.equal(model.translate(content, content).tensor, model.translate(content, content).tensor)
    noisy = model.translate(content, content, noise=3).tensor
    assert torch.equal(noisy, model.translate(content, content, noise=3).tensor)
    assert (noisy - model.translate(content, content, noise=4).tensor).abs().max() > 1e-3
    one_by_one = model.translate(content, content, noise=3, batch_size=1).tensor
    torch.testing.assert_close(one_by_one, noisy, atol=1e-5, rtol=1e-4)


def test_images_too_small_for_the_networks_are_refused(model):
    assert model.translate(noise(1)[..., :4, :4], noise(1)).tensor.shape == (1, 3, 4, 4)
    with pytest.raises(ImageInputError, match="at least 4"):
        model.translate(noise(1)[..., :2, :2], noise(1))


def test_exaggeration_beyond_the_exemplars_stays_an_image(model):
    made = model.translate(
        noise(2), torch.full((1, 3, 20, 20), 0.3), strength=2.0
    ).tensor  # flat: less than no variance
    assert bool(torch.isfinite(made).all())


def test_codes_hold_for_one_direction(model):
    code = model.encode_exemplars(noise(2, 1))
    assert code.values.shape == (2, 8)
    model.translate(noise(1), code)
    with pytest.raises(ConfigError, match="another direction"):
        model.translate(noise(1), code, direction="b2a")
    own = model.translate(noise(1), code, strength=0.0).tensor
    latents = model.generator.encode(noise(1), "a")
    plain = model.generator.draw(
        latents, "b", model.generator.mask(noise(1), "a"), model.generator.statistics(noise(1), "a")
    )  # fmt: skip
    torch.testing.assert_close(own, plain.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"direction": "ab"}, {"adain": "odd"}, {"truncation": 1.0}, {"noise": "x"}, {"noise": -1}, {"noise": None}],
)
def test_unusable_options_are_refused(model, options):
    with pytest.raises(ConfigError):
        model.translate(noise(1), noise(1), **options)


@pytest.mark.parametrize("options", [{"resolution": 30, "levels": 3}, {"resolution": 8}, {"adain": "x"}, {"mask": 1}])
def test_unusable_configurations_are_refused(options):
    with pytest.raises(ConfigError):
        make_config(EGSCIT, options)


@pytest.mark.parametrize("options", [{"steps": 0}, {"zoom": 0.0}, {"style_weight": -1.0}, {"perceptual": "lpips"}])
def test_unusable_training_settings_are_refused(options):
    with pytest.raises(ConfigError):
        EGSCITTraining(**options)


# ---- data and features ----


def test_two_folders_are_two_domains(domains, tmp_path):
    for name, images in domains.items():
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            image.save(tmp_path / name / f"{number}.png")
    pair = load_domains(tmp_path, resolution=16)
    assert pair.names == {"a": "bright", "b": "dark"} and len(pair) == 7 and len(pair.images["b"]) == 3
    assert pair.describe() == load_domains(domains, resolution=16).describe()
    assert load_domains(pair, resolution=16) is pair
    with pytest.raises(ConfigError, match="of 16 px, where 20"):
        make_system().read_data(pair)
    (tmp_path / "third").mkdir()
    with pytest.raises(ImageInputError, match="exactly two, found 3"):
        load_domains(tmp_path, resolution=16)
    with pytest.raises(ImageInputError, match="not a folder"):
        load_domains(tmp_path / "none", resolution=16)
    with pytest.raises(ImageInputError, match="list"):
        load_domains([1], resolution=16)


class Same:
    """Endless batches of the same ramps."""

    def __next__(self):
        return torch.linspace(-1, 1, 16).expand(40, 3, 16, 16).clone()

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_half_of_the_images_are_zoomed_and_the_order_resumes():
    batches = Zoomed(Same(), least=0.5)
    first, second = next(batches), next(batches)
    plain = next(Same())
    untouched = (first - plain).abs().amax((1, 2, 3)) == 0
    assert 8 <= int(untouched.sum()) <= 32 and first.shape == plain.shape
    assert (first[~untouched].amax((1, 2, 3)) - first[~untouched].amin((1, 2, 3))).max() < 1.9
    again = Zoomed(Same(), least=0.5)
    again.load_state_dict({"drawn": 1, "batches": {}})
    assert torch.equal(next(again), second)
    assert torch.equal(next(Zoomed(Same(), least=1.0)), plain)


def test_features_are_those_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsNotFoundError, match="vgg19"):
        load_maps("vgg19", torch.device("cpu"))
    found = load_maps("random", torch.device("cpu"))
    images = noise(1).requires_grad_(True)
    maps_of = found.maps(images)
    assert found.name == "random" and [one.shape[2] for one in maps_of] == [32, 16, 8, 4]
    sum(one.sum() for one in maps_of).backward()
    assert images.grad.abs().sum() > 0


def test_a_model_without_discriminators_cannot_be_trained(domains):
    system = make_system()
    system.discriminator = None
    with pytest.raises(ConfigError, match="discriminators"):
        next(stages_of(system, domains))
    assert copy.deepcopy(system).generator.style_encoders["a"].stem.weight.requires_grad is False


def test_images_need_not_be_square(tmp_path):
    assert create_model("egscit_256x512", width=2, discriminator_width=2).config.image_width == 512
    system = make_system(image_width=40)
    pictures = to_pil(torch.rand(4, 3, 30, 60) * 2 - 1)
    data = system.read_data({"a": pictures[:2], "b": pictures[2:]})
    assert data.images["a"].uint8().shape == (2, 3, 20, 40)
    settings = LoopSettings(precision="fp32")
    training = EGSCITTraining(steps=1, mask_steps=1, warm_up=1, **QUICK)
    fit(system.stages(data, training), output_dir=tmp_path, machine=Machine("cpu"), settings=settings)
    assert system.eval().translate(pictures[:2], pictures[2]).tensor.shape == (2, 3, 20, 40)
    with pytest.raises(ConfigError, match="image_width"):
        make_system(image_width=41)


def test_the_deviation_of_initial_weights_is_a_setting_above_0():
    assert make_system(deviation=0.1).generator.encoders["a"].stem.weight.std() > 0.07
    with pytest.raises(ConfigError, match="deviation"):
        make_system(deviation=0.0)
