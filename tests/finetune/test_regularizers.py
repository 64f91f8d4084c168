"""Regularizers: zero at the source, equal to slow loops, schedules."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.finetune.regularizers import (
    Contrast,
    Ewc,
    Features,
    Relation,
    SourceModel,
    decay,
    source_importance,
    strided_groups,
)
from lowshotgan.losses.relations import relation_consistency
from lowshotgan.nets.stylegan2 import Discriminator, Generator


class Scene:
    """Fixed features and parameters."""

    def __init__(self, source: Features, target: Features, seed: int = 0) -> None:
        self.source, self.target = source, target
        self.draws = Draws(seed)
        self.before: dict[str, Tensor] = {}
        self.now: dict[str, Tensor] = {}

    def features(self, *, fresh: bool) -> tuple[Features, Features]:
        return self.source, self.target

    def parameters(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return self.before, self.now


def maps(batch: int, seed: int) -> list[Tensor]:
    """Three maps as a synthesis network gives them."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, 5, side, side, generator=random) for side in (4, 8, 8)]


@pytest.fixture
def model(generator: Generator, discriminator: Discriminator) -> SourceModel:
    return SourceModel(generator, discriminator, [name for name, _ in generator.named_parameters()], seed=0)


@pytest.mark.parametrize("batch", [3, 4, 6, 8, 10])
def test_relation_is_zero_at_the_source(model: SourceModel, batch: int) -> None:
    same = maps(batch, 0)
    value = Relation().build(model)(Scene(same, same))
    assert value.shape == (batch,)
    torch.testing.assert_close(value, torch.zeros(batch), atol=1e-6, rtol=0)


@pytest.mark.parametrize("batch", [3, 4, 8, 10, 14])
def test_relation_matches_a_slow_loop(model: SourceModel, batch: int) -> None:
    source, target = maps(batch, 0), maps(batch, 1)
    scene = Scene(source, target, seed=9)
    value = Relation().build(model)(scene)
    layers = 1 + Draws(9).integers(2, batch)  # the same random layer for each sample
    members = {i: next(g.tolist() for g in strided_groups(batch, 4) if i in g) for i in range(batch)}
    for i in range(batch):
        logs = []
        for features in (source, target):
            layer = features[int(layers[i])]
            others = [j for j in members[i] if j != i]
            cosines = [F.cosine_similarity(layer[i].flatten(), layer[j].flatten(), dim=0) for j in others]
            logs.append(torch.stack(cosines).log_softmax(0))
        expected = (logs[0].exp() * (logs[0] - logs[1])).sum()
        assert expected > 0
        torch.testing.assert_close(value[i], expected, atol=1e-5, rtol=1e-4)


def test_relation_weight_against_the_papers_element_mean() -> None:
    """1000 x element mean over N x (N - 1) equals 333 x mean over N rows, for N = 4."""
    source, target = maps(4, 0)[1], maps(4, 1)[1]
    rows = relation_consistency(source, target)
    element_mean = rows.sum() / (4 * 3)
    assert 1000 * element_mean == pytest.approx(float(1000 / 3 * rows.mean()), rel=1e-5)


def test_contrast_prefers_the_same_latent(model: SourceModel) -> None:
    source = maps(4, 0)
    penalty = Contrast().build(model)
    same, other = penalty(Scene(source, source)), penalty(Scene(source, maps(4, 1)))
    swapped = penalty(Scene(source, [layer.flip(0) for layer in source]))
    assert same.shape == (4,)
    assert same.mean() < other.mean() < swapped.mean()


def test_ewc_is_the_weighted_square_distance(model: SourceModel) -> None:
    scene = Scene([], [])
    scene.before = {name: value.detach() for name, value in model.generator.named_parameters()}
    scene.now = dict(scene.before)
    penalty = Ewc(samples=2).build(model)
    assert float(penalty(scene)) == 0.0
    scene.now = {name: value + 0.01 for name, value in scene.before.items()}
    count = sum(value.numel() for value in scene.before.values())
    assert float(penalty(scene)) == pytest.approx(count * 1e-4, rel=1e-3)  # the mean importance is 1


def test_importance_is_the_same_under_autocast(model: SourceModel) -> None:
    exact = source_importance(model, samples=2, raw=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = source_importance(model, samples=2, raw=True)
    assert all(torch.equal(value, exact[name]) for name, value in found.items())


def test_decay() -> None:
    weight = decay(300.0, 100.0)
    assert callable(weight)
    assert [round(weight(x)) for x in (0.0, 0.5, 1.0, 1.2)] == [300, 200, 100, 100]
    assert weight(0.25) == pytest.approx(100 + 100 * (1 + math.cos(math.pi / 4)))
    assert decay(300.0, None) == 300.0


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [(4, [4]), (8, [4, 4]), (6, [3, 3]), (5, [5]), (7, [7]), (2, [2]), (10, [5, 5]), (14, [5, 5, 4]), (11, [6, 5])],
)
def test_groups(batch: int, sizes: list[int]) -> None:
    groups = strided_groups(batch, 4)
    assert [len(group) for group in groups] == sizes
    assert sorted(torch.cat(groups).tolist()) == list(range(batch))
    assert groups[0].tolist() == list(range(0, batch, len(groups)))
