"""The warm-up of SyncGAN: what codes hold, which weights it reaches, and that generators agree after it alone."""

import copy

import pytest
import torch

from lowshotgan.api import create_model
from lowshotgan.draws import Draws
from lowshotgan.errors import ConfigError
from lowshotgan.systems.syncgan.config import SyncGANTraining
from lowshotgan.systems.syncgan.modalities import VectorModality
from lowshotgan.systems.syncgan.warm_up import PrivateCodes, redrawing_error
from lowshotgan.train.loop import LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.types import Batch

CENTRES = torch.tensor([[0.7, 0.7], [0.7, -0.7], [-0.7, 0.7], [-0.7, -0.7]])


def vectors(**options):
    torch.manual_seed(0)
    modalities = {"a": VectorModality(2), "b": VectorModality(2)}
    return create_model("syncgan_32", modalities=modalities, concept_dim=4, private_dim=2, **options)


def clusters(n=200):
    """Points about four centres; class c of the first modality is at centre c, of the second at centre 3 - c."""
    labels = torch.arange(n) % 4
    noise = 0.1 * torch.randn(2, n, 2, generator=torch.Generator().manual_seed(0))
    points = {"a": CENTRES[labels] + noise[0], "b": CENTRES[3 - labels] + noise[1]}
    return {name: one.clamp(-1, 1) for name, one in points.items()} | {"labels": dict.fromkeys("ab", labels)}


def run(model, folder, **settings):
    """Both stages before the adversarial one; what the third would begin with."""
    training = SyncGANTraining(steps=1, batch_size=32, synchronizer_steps=60, **settings)
    stages = model.stages(model.read_data(clusters()), training, seed=0)
    for stage in stages:
        if stage.name == "adversarial":
            return stage
        fit(
            [stage], output_dir=folder, machine=Machine("cpu"), settings=LoopSettings(precision="fp32", resume="never")
        )
    return None


def synchronous(model):
    """Share of 400 codes whose items lie at matching centres."""
    made = {name: values.flatten(1) for name, values in model.eval().generate(400).values.items()}
    first, second = torch.cdist(made["a"], CENTRES).argmin(1), 3 - torch.cdist(made["b"], CENTRES).argmin(1)
    return float((first == second).float().mean()), first


def test_generators_agree_before_they_meet_a_discriminator(tmp_path):
    model = vectors()
    judges = copy.deepcopy(model.discriminator.discriminators.state_dict())
    stage = run(model, tmp_path / "warm", warm_up_steps=150, warm_up_lr=1e-2)
    rate, first = synchronous(model)
    assert rate > 0.7 and first.bincount(minlength=4).min() > 40
    assert all(
        torch.equal(value, judges[name]) for name, value in model.discriminator.discriminators.state_dict().items()
    )
    assert stage.phases[-1].name == "generator" and stage.phases[-1].start == 100  # the judges are ahead
    cold = vectors()
    assert run(cold, tmp_path / "cold").phases[-1].start == 0
    assert synchronous(cold)[0] < 0.5


def test_private_codes_hold_what_embeddings_do_not():
    random = torch.Generator().manual_seed(0)
    embeddings, style = torch.randn(300, 3, generator=random), torch.randn(300, 2, generator=random)
    told, rest = torch.randn(3, 16, generator=random), torch.randn(2, 16, generator=random)
    items = (embeddings @ told + style @ rest).view(300, 1, 4, 4)
    codes = PrivateCodes(items, embeddings, 2)(items, embeddings)
    torch.testing.assert_close(codes.T @ codes / 300, torch.eye(2), atol=1e-2, rtol=0)
    assert (codes.T @ embeddings / 300).abs().max() < 1e-3
    found = torch.linalg.lstsq(codes, style - style.mean(0)).solution
    assert (codes @ found - style).std() < 0.3  # the style can be read off them
    for dim in (40, 0):
        assert PrivateCodes(items, embeddings, dim)(items, embeddings).shape == (300, dim)


def test_items_of_one_concept_get_one_region_of_noise(tmp_path):
    model = vectors()
    warm = run_to_warm_up(model, tmp_path)
    batch = Batch(next(warm.batches), Draws(0), 0, 0.0)
    codes = {}
    for name in "ab":
        items = torch.cat([CENTRES if name == "a" else CENTRES.flip(0)] * 64)[:, :, None, None]
        code = warm.phases[0].terms.__self__.code(items, name, batch)
        assert code.shape == (256, 6)
        codes[name] = code[:, :4].unflatten(0, (64, 4)).mean(dim=0)  # mean concept of each class
    near = torch.cosine_similarity(codes["a"][:, None], codes["b"][None], dim=2)
    assert near.diagonal().min() > 0.5 and (near.argmax(dim=1) == torch.arange(4)).all()


def run_to_warm_up(model, folder):
    training = SyncGANTraining(steps=1, batch_size=32, synchronizer_steps=60, warm_up_steps=1)
    stages = model.stages(model.read_data(clusters()), training, seed=0)
    settings = LoopSettings(precision="fp32", resume="never")
    fit([next(stages)], output_dir=folder, machine=Machine("cpu"), settings=settings)
    return next(stages)


def test_redrawing_compares_images_at_several_sizes():
    a, b = torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)
    b[0, 0, 0, 0] = 1.0
    assert redrawing_error(a, b).tolist() == pytest.approx([1 / 64, 0])  # a pixel weighs as much when averaged
    b[0, 0, 0, 1] = -1.0
    assert redrawing_error(a, b)[0] == pytest.approx((2 / 64 + 0 + 0) / 3)
    assert redrawing_error(torch.zeros(1, 2, 1, 1), torch.ones(1, 2, 1, 1)).tolist() == [1.0]


def test_the_warm_up_needs_towers():
    model = vectors(synchronizer="concat")
    training = SyncGANTraining(steps=1, batch_size=8, synchronizer_steps=1, warm_up_steps=1)
    stages = model.stages(model.read_data(clusters()), training)
    next(stages)
    with pytest.raises(ConfigError, match="two_tower"):
        next(stages)
