"""FastGAN as a system: the terms of its two steps, and images that depend on their seed alone after training."""

import copy
import math

import pytest
import torch

from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.losses.reconstruction import absolute_difference
from lowshotgan.nets.fastgan import shrink
from lowshotgan.systems.base import make_config
from lowshotgan.systems.fastgan.config import FastGANConfig, FastGANTraining
from lowshotgan.systems.fastgan.stages import FastGANLosses
from lowshotgan.systems.fastgan.system import FastGAN
from lowshotgan.systems.frozen_features import load_perceptual
from lowshotgan.systems.walks import slerp
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.phases import only_trainable
from lowshotgan.types import Batch, ParamGroup, Stage

CONFIG = FastGANConfig(resolution=64, z_dim=8, generator_width=2, discriminator_width=2)
TRAINING = FastGANTraining(steps=2, batch_size=4, perceptual="random", lecam_weight=0.1)


class Images:
    """Eight drawn images, as an ``ImageSet`` gives them."""

    def __init__(self) -> None:
        self.pixels = torch.randint(0, 256, (8, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte()

    def __len__(self) -> int:
        return 8

    def uint8(self, indices):
        return self.pixels[indices]


def make_system() -> FastGAN:
    torch.manual_seed(0)
    system = FastGAN(CONFIG, arch="fastgan_64")
    system.statistics_samples = 100
    return system


def train(system: FastGAN, folder, **settings):
    return fit(
        system.stages(Images(), TRAINING, preview_seeds=range(2)),
        output_dir=folder,
        machine=Machine("cpu"),
        settings=LoopSettings(precision="fp32", **settings),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    system = make_system()
    assert train(system, tmp_path_factory.mktemp("run")).stopped == "finished"
    return system.eval()


def test_training_changes_the_average_and_its_statistics(trained):
    name = "to_big.parametrizations.weight.original"
    after = trained.generator.state_dict()
    assert not torch.equal(make_system().generator.state_dict()[name], after[name])
    assert all(torch.isfinite(value).all() for value in after.values())
    assert trained.details == {"reconstruction_features": "random"}


def test_a_trained_model_gives_the_same_image_alone_and_in_a_batch_of_sixteen(trained):
    together = trained.generate(16, output_type="pt").tensor
    for seed in (0, 9):
        assert (trained.generate(seeds=seed, output_type="pt").tensor[0] - together[seed]).abs().max() <= 1e-5
    by_batch = trained.generate(16, bn_mode="batch").tensor
    alone = trained.generate(seeds=3, bn_mode="batch").tensor[0]
    assert (alone - by_batch[3]).abs().max() > 1e-3  # as in the original release
    torch.testing.assert_close(trained.generate(16).tensor, together)


def test_a_saved_model_gives_the_same_images(trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    again = FastGAN.from_pretrained(tmp_path / "model")
    assert torch.equal(again.generate(4).tensor, trained.generate(4).tensor)
    assert again.config == trained.config


def test_a_stopped_training_saves_settled_statistics_and_resumes_bit_for_bit(trained, tmp_path):
    system = make_system()
    assert train(system, tmp_path / "run", budget=1e-6).stopped == "budget"
    system.save_pretrained(tmp_path / "model")
    images = FastGAN.from_pretrained(tmp_path / "model").generate(4).tensor
    assert (FastGAN.from_pretrained(tmp_path / "model").generate(1).tensor - images[:1]).abs().max() <= 1e-5
    resumed = make_system()
    assert train(resumed, tmp_path / "run").steps == 2
    resumed.settle()
    whole = trained.generator.state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in resumed.generator.state_dict().items())


@pytest.mark.slow
def test_bf16_and_accumulation_train_too(tmp_path):
    system = make_system()
    stages = system.stages(Images(), TRAINING, preview_seeds=range(2))
    settings = LoopSettings(precision="bf16", accumulate=2)
    result = fit(stages, output_dir=tmp_path, machine=Machine("cpu"), settings=settings)
    assert (result.stopped, result.nonfinite) == ("finished", 0)
    assert torch.isfinite(system.generate(2, output_type="pt").images).all()


def test_previews_change_nothing(tmp_path):
    system = make_system()
    stage = next(iter(system.stages(Images(), TRAINING, preview_seeds=range(3))))
    before = {name: value.clone() for name, value in system.generator.state_dict().items()}
    assert stage.preview().shape == (3, 3, 64, 64)
    assert all(torch.equal(value, before[name]) for name, value in system.generator.state_dict().items())


def test_interpolation_starts_and_ends_at_its_seeds(trained):
    walk = trained.interpolate([3, 5], frames=5, loop=False).tensor
    ends = trained.generate(seeds=[3, 5]).tensor
    assert len(walk) == 5
    torch.testing.assert_close(walk[[0, -1]], ends, atol=1e-4, rtol=1e-4)
    with pytest.raises(ConfigError, match="two seeds"):
        trained.interpolate([3])


def test_slerp_keeps_the_length_of_equally_long_latents():
    start, end = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(slerp(start, end, torch.tensor([[0.5]])), torch.tensor([[1.0, 1.0]]) / math.sqrt(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"content": "x"}, "content"), ({"n": 1, "latents": torch.zeros(1, 8)}, "not both"),
     ({"bn_mode": "old"}, "recomputed"), ({"noise": "loud"}, "const"), ({"latents": torch.zeros(1, 3)}, r"\(B, 8\)")],
)  # fmt: skip
def test_unusable_options_say_what_is_expected(trained, options, message):
    with pytest.raises(ConfigError, match=message):
        trained.generate(**options)


# ---- one step ----


def one_step(lecam: float = 0.0):
    system = make_system()
    training = FastGANTraining(batch_size=4, perceptual="random", lecam_weight=lecam)
    generator, discriminator = system.generator.train(), system.discriminator.train()
    losses = FastGANLosses(generator, discriminator, training, load_perceptual("random", torch.device("cpu")))
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return system, losses, Batch(images, Draws(0), 0, 0.0)


def test_the_generator_learns_from_the_fakes_of_the_discriminator_step():
    system, losses, batch = one_step()
    generator, discriminator = system.generator, system.discriminator
    twin, draws = copy.deepcopy(generator), Draws(0)
    groups = {
        "generator": ParamGroup([*generator.parameters()]),
        "discriminator": ParamGroup([*discriminator.parameters()]),
    }
    stage = Stage("source", 1, iter([]), groups, [], {})
    with only_trainable(stage, "discriminator"):
        losses.discriminator_terms(batch)["adversarial"].mean().backward()
    assert all(parameter.grad is None for parameter in generator.parameters())
    judge = copy.deepcopy(discriminator).requires_grad_(False)
    discriminator.zero_grad()
    with only_trainable(stage, "generator"):
        losses.generator_terms(batch)["adversarial"].mean().backward()
    assert not losses._fakes
    assert all(parameter.grad is None for parameter in discriminator.parameters())

    fakes = twin(draws.normal(4, 8), noise=twin.draw_noise(4, draws), return_small=True)
    augmented = [losses._augment(image, draws) for image in fakes]
    (-judge(*augmented).mean()).backward()
    for ours, expected in zip(generator.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, expected.grad)


def test_discriminator_terms_by_hand():
    system, losses, batch = one_step(lecam=0.3)
    losses._augment = None
    judge = copy.deepcopy(system.discriminator)
    terms = losses.discriminator_terms(batch)
    assert {name: tuple(term.shape) for name, term in terms.items()} == dict.fromkeys(
        ("adversarial", "reconstruction", "lecam"), (4,)
    )
    (fakes,) = losses._fakes
    again = Draws(0)
    again.normal(4, 8), system.generator.draw_noise(4, again)
    quadrant = again.shared_integer(4)
    margins = 0.8 + 0.2 * again.uniform(4, 2, 50)
    real, decoded = judge(batch.images, quadrant=quadrant)
    fake = judge(*fakes)
    hinge = (margins[:, 0] - real).relu().mean(1) + (margins[:, 1] + fake).relu().mean(1)
    torch.testing.assert_close(terms["adversarial"], hinge)
    distance = losses.perceptual
    top, left = 32 * (quadrant // 2), 32 * (quadrant % 2)
    part = batch.images[:, :, top : top + 32, left : left + 32].repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = distance(decoded["big"], batch.images) + distance(decoded["small"], batch.images)
    torch.testing.assert_close(terms["reconstruction"], expected + distance(decoded["part"], part))


def test_the_perceptual_distance_is_zero_for_equal_images_and_has_a_gradient():
    distance = load_perceptual("random", torch.device("cpu"))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(distance(images, images), torch.zeros(2))
    other = images.flip(0).requires_grad_(True)
    values = distance(other, images)
    assert (values > absolute_difference(other, images)).all()
    values.sum().backward()
    assert other.grad.abs().sum() > 0


def test_random_features_leave_the_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = load_perceptual("random", torch.device("cpu"))
    assert torch.equal(torch.rand(1), expected)
    images = torch.rand(1, 3, 64, 64)
    second = load_perceptual("random", torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(first.maps(images), second.maps(images), strict=True))
    assert shrink(images, 128).shape == (1, 3, 128, 128)


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 1}, {"steps": 0}, {"lecam_weight": -1.0}, {"perceptual": "vgg"}, {"augment": "blur"}],
)
def test_unusable_training_settings_are_refused(options):
    with pytest.raises(ConfigError):
        FastGANTraining(**options)


@pytest.mark.parametrize("options", [{"resolution": 16}, {"generator_width": 0}, {"z_dim": 1.5}, {"tanh": "never"}])
def test_unusable_configurations_are_refused(options):
    with pytest.raises(ConfigError):
        make_config(FastGAN, options)
