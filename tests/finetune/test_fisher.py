"""Fisher information against values on paper, and RICK's masks under an optimiser with momentum."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lowshotgan.finetune.engine import build_stage
from lowshotgan.finetune.fisher import FilterMasks, empirical_fisher
from lowshotgan.finetune.heads import FreezeD
from lowshotgan.finetune.recipe import Recipe
from lowshotgan.finetune.regularizers import SourceModel, source_importance
from lowshotgan.finetune.trainables import FisherMask
from lowshotgan.nets.stylegan2 import Discriminator, Generator


def test_fisher_of_a_two_parameter_model() -> None:
    """loss = (a x + b) with samples 1 and -3: d/da = x, d/db = 1, so F_a = (1 + 9) / 2 = 5 and F_b = 1."""
    a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    fisher = empirical_fisher(lambda x: a * x + b, {"a": a, "b": b}, [1.0, -3.0])
    assert fisher["a"] == 5.0
    assert fisher["b"] == 1.0
    squared_mean = ((1.0 - 3.0) / 2) ** 2
    assert fisher["a"] != squared_mean


def test_fisher_of_a_parameter_the_loss_does_not_reach_is_zero() -> None:
    a, b = torch.tensor(2.0, requires_grad=True), torch.ones(3, requires_grad=True)
    assert torch.equal(empirical_fisher(lambda x: a * x, {"a": a, "b": b}, [1.0])["b"], torch.zeros(3))


def test_source_importance(generator: Generator, discriminator: Discriminator) -> None:
    changed = [name for name, _ in generator.named_parameters()]
    model = SourceModel(generator, discriminator, changed, seed=0)
    scaled, raw = (source_importance(model, samples=3, raw=raw) for raw in (False, True))
    values = torch.cat([value.flatten() for value in scaled.values()])
    assert values.mean() == pytest.approx(1.0, rel=1e-4)
    assert (values >= 0).all()
    ratios = [float((scaled[name] / raw[name]).nanmedian()) for name in ("mapping.fc0.weight", "synthesis.b4.const")]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-4)
    assert all(parameter.grad is None for parameter in generator.parameters())


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        "masked",
        trainable=(FisherMask(freeze=60, prune=10, every=5, samples=3),),
        head=FreezeD(layers=1),
        batch=2,
        steps=100,
        warm_up=4,
        warm_up_final=True,
        path_weight=2.0,
    )


def named(masks: FilterMasks) -> list[tuple[nn.Parameter, Tensor]]:
    filters = masks.generator_filters + masks.judge_filters
    return [(parameter, one.pruned) for one in filters for parameter in one.live]


def test_pruned_filters_stay_zero_under_momentum(
    small: tuple[Generator, Discriminator], images: Tensor, recipe: Recipe, step: Callable, batches: type
) -> None:
    stage, _, average = build_stage(*small, batches(images[..., ::2, ::2], 2), recipe)
    masks = stage.state["masks"]
    assert isinstance(masks, FilterMasks)
    step(stage, 10, betas=(0.9, 0.99))
    early = [pruned.clone() for _, pruned in named(masks)]
    assert sum(int(pruned.sum()) for pruned in early) > 0
    masks.every = 1000
    step(stage, 100, first=10, betas=(0.9, 0.99))
    for (parameter, pruned), before in zip(named(masks), early, strict=True):
        assert torch.equal(pruned, before)
        assert (parameter[pruned] == 0).all()
    weights = [value for name, value in average.merge().named_parameters() if name.endswith("conv.weight")]
    assert any((value.flatten(1) == 0).all(dim=1).any() for value in weights)  # in the model that is kept, too


def test_frozen_filters_do_not_move_between_estimates(
    small: tuple[Generator, Discriminator], images: Tensor, recipe: Recipe, step: Callable, batches: type
) -> None:
    stage, _, _ = build_stage(*small, batches(images[..., ::2, ::2], 2), recipe)
    masks = stage.state["masks"]
    assert isinstance(masks, FilterMasks)
    log = step(stage, 9, betas=(0.9, 0.99))  # estimates after 4 and 9 steps
    assert 0.2 < log["fisher/frozen"] < 0.6
    held = [(one.live[0].detach().clone(), one.frozen.clone()) for one in masks.generator_filters]
    step(stage, 4, first=9, betas=(0.9, 0.99))
    moved = 0
    for one, (before, frozen) in zip(masks.generator_filters, held, strict=True):
        assert torch.equal(one.live[0][frozen], before[frozen])
        moved += int((one.live[0] != before).flatten(1).any(1).sum())
    assert moved > 0


def test_warm_up_trains_the_last_layers_of_the_discriminator_only(
    small: tuple[Generator, Discriminator], images: Tensor, recipe: Recipe, step: Callable, batches: type
) -> None:
    stage, live, _ = build_stage(*small, batches(images[..., ::2, ::2], 2), recipe)
    before = {name: value.clone() for name, value in stage.modules["discriminator"].named_parameters()}
    at_start = live.delta()
    step(stage, 4)
    after = dict(stage.modules["discriminator"].named_parameters())
    moved = {name: (before[name] != after[name]) & (after[name] != 0) for name in before}
    changed = {name for name, where in moved.items() if where.any()}  # the first estimate may have pruned
    assert changed and all(name.startswith("discriminator.b4.") for name in changed)
    pruned_only = [name for name, value in live.delta().items() if ((value != at_start[name]) & (value != 0)).any()]
    assert pruned_only == []


def test_masks_survive_a_checkpoint(
    small: tuple[Generator, Discriminator], images: Tensor, recipe: Recipe, step: Callable, batches: type
) -> None:
    stage, _, _ = build_stage(*small, batches(images[..., ::2, ::2], 2), recipe)
    step(stage, 10)
    again, _, _ = build_stage(*small, batches(images[..., ::2, ::2], 2), recipe)
    for name, module in stage.modules.items():
        again.modules[name].load_state_dict(module.state_dict())
    again.state["masks"].load_state_dict(stage.state["masks"].state_dict())
    first, second = stage.state["masks"], again.state["masks"]
    assert isinstance(first, FilterMasks) and isinstance(second, FilterMasks)
    for (value, pruned), (value_again, pruned_again) in zip(named(first), named(second), strict=True):
        assert torch.equal(value, value_again) and torch.equal(pruned, pruned_again)
