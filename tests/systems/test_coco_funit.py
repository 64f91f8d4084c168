"""COCO-FUNIT as a system: its terms by hand, who learns from what, its schedule, training that learns."""

import copy

import pytest
import torch

from lowshotgan.api import create_model, train
from lowshotgan.data.images import to_pil
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.systems.base import make_config
from lowshotgan.systems.class_training import ClassNets
from lowshotgan.systems.coco_funit.config import CocoFUNITTraining
from lowshotgan.systems.coco_funit.stages import CocoFUNITLosses
from lowshotgan.systems.coco_funit.system import CocoFUNIT
from lowshotgan.train.phases import only_trainable
from lowshotgan.types import Batch

TINY = {
    "width": 4, "code_dim": 6, "mlp_width": 8, "bias_dim": 5, "resolution": 16, "num_classes": 3,
    "discriminator_width": 4, "discriminator_stages": 2, "discriminator_cap": 8,
}  # fmt: skip


def make_system():
    torch.manual_seed(0)
    return create_model("coco_funit_32", **TINY)


def noise(number, seed=0):
    return torch.rand(number, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture
def step():
    system = make_system()
    system.discriminator.eval()  # so that spectral norms stand still
    batch = Batch(
        {"content": noise(2, 1), "exemplars": noise(2, 2), "content_labels": torch.tensor([0, 2]),
         "exemplar_labels": torch.tensor([1, 2])},
        Draws(0), 0, 0.0,
    )  # fmt: skip
    return system, CocoFUNITLosses(system.generator, system.discriminator), batch


def test_terms_by_hand(step):
    system, losses, batch = step
    generator, judge = system.generator, system.discriminator
    content, exemplars = batch.images["content"], batch.images["exemplars"]
    own, other = batch.images["content_labels"], batch.images["exemplar_labels"]
    translated = generator(content, generator.encode(exemplars))
    rebuilt = generator(content, generator.encode(content))
    (real, wanted), (fake, features) = judge(exemplars, other), judge(translated, other)
    hinge = (1 - real).relu().flatten(1).mean(1) + (1 + fake).relu().flatten(1).mean(1)
    torch.testing.assert_close(losses.discriminator_terms(batch)["adversarial"], hinge, rtol=1e-4, atol=1e-5)
    terms = losses.generator_terms(batch)
    both = -0.5 * (fake.flatten(1).mean(1) + judge(rebuilt, own)[0].flatten(1).mean(1))
    torch.testing.assert_close(terms["adversarial"], both, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms["reconstruction"], (rebuilt - content).abs().flatten(1).mean(1))
    matching = (features.mean((2, 3)) - wanted.mean((2, 3))).abs().mean(1)
    torch.testing.assert_close(terms["matching"], matching, rtol=1e-4, atol=1e-5)


def test_each_step_trains_its_own_network_and_no_other(step):
    system, losses, batch = step
    training = CocoFUNITTraining(steps=4)
    nets = ClassNets(system.generator, copy.deepcopy(system.generator), system.discriminator)
    stage = system.source_stage(nets, iter([]), training, lambda: torch.zeros(1))
    with only_trainable(stage, "discriminator"):
        losses.discriminator_terms(batch)["adversarial"].mean().backward()
    assert all(p.grad is None for p in system.generator.parameters())
    assert all(p.grad is not None for p in system.discriminator.parameters())
    system.discriminator.zero_grad()
    with only_trainable(stage, "generator"):
        sum(term.mean() for term in losses.generator_terms(batch).values()).backward()
    assert all(p.grad is None for p in system.discriminator.parameters())
    assert all(p.grad is not None for p in system.generator.parameters())
    assert stage.ema_start == 1000 and stage.groups["generator"].betas == (0.0, 0.999)


def test_the_rate_is_halved_every_hundred_thousand_steps():
    training = CocoFUNITTraining(steps=250_000)
    assert [training.rate(step / 250_000) for step in (0, 99_999, 100_000, 200_000)] == [1, 1, 0.5, 0.25]


def test_training_reconstructs_better(tmp_path):
    images = {
        str(seed): noise(3, seed).mean(1, keepdim=True).expand(-1, 3, -1, -1) * 0.3 + seed / 3 for seed in (-1, 1)
    }
    shown = torch.cat(list(images.values()))

    def error(model):
        return float((model.translate(shown, shown[:, None]).tensor - shown).abs().mean())

    system = make_system()
    before = error(system)
    result = train(
        system, {name: to_pil(value) for name, value in images.items()}, output_dir=tmp_path / "run", steps=25,
        batch_size=4, reconstruction_weight=20.0, lr=3e-3, precision="fp32", device="cpu", progress=False,
    )  # fmt: skip
    assert error(result.model) < 0.8 * before
    assert result.model.classes == ["-1", "1"] and result.model.discriminator.embedding.num_embeddings == 2


@pytest.mark.parametrize(
    "options",
    [
        {"bias_dim": -1},
        {"content_aware": 1},
        {"resolution": 40},
        {"resolution": 32, "discriminator_stages": 4},
        {"width": 0},
    ],
)
def test_unusable_configurations_are_refused(options):
    with pytest.raises(ConfigError):
        make_config(CocoFUNIT, options)


@pytest.mark.parametrize("options", [{"steps": 0}, {"ema_decay": 0.0}, {"halve_every": 0}, {"sampling": "all"}])
def test_unusable_training_settings_are_refused(options):
    with pytest.raises(ConfigError):
        CocoFUNITTraining(**options)
