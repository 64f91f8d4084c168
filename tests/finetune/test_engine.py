"""Every recipe becomes a stage of the one loop."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lowshotgan.draws import Draws
from lowshotgan.errors import RecipeError
from lowshotgan.finetune.augment import Ada, Augmenter
from lowshotgan.finetune.engine import build_stage, ema_half_life, r1_gamma
from lowshotgan.finetune.recipe import Recipe, fit_to
from lowshotgan.finetune.recipes import RECIPES, resolve_auto
from lowshotgan.losses.adversarial import logistic_discriminator
from lowshotgan.nets.stylegan2 import Discriminator, Generator
from lowshotgan.train.loop import LoopSettings, Moment, fit
from lowshotgan.train.machine import Machine
from lowshotgan.types import Batch, Stage

ADAPTING = {name: recipe for name, recipe in RECIPES.items() if not recipe.scratch} | {
    "auto_one": resolve_auto(1),
    "auto_near": resolve_auto(10),
    "auto_far": resolve_auto(10, far=True),
    "auto_many": resolve_auto(30),
}


def lighter(recipe: Recipe) -> Recipe:
    """Fewer samples in one-off estimates."""
    fewer = {"ewc": {"regularizers.ewc.samples": 4}, "twins": {"regularizers.twins.candidates": 8}}
    return recipe.override(**{key: n for part in recipe.regularizers for key, n in fewer.get(part.kind, {}).items()})


@pytest.mark.parametrize("name", ADAPTING)
@pytest.mark.parametrize("resolution", [16, 32])
def test_every_recipe_trains(
    name: str, resolution: int, request: pytest.FixtureRequest, step: Callable, batches: type, nets: Callable
) -> None:
    generator, discriminator = nets(resolution)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    recipe = fit_to(lighter(ADAPTING[name]), k=3)
    images = torch.rand(3, 3, resolution, resolution) * 2 - 1
    stage, live, average = build_stage(
        generator, discriminator, batches(images, recipe.batch), recipe, images=images, steps=2
    )
    at_start = live.delta()
    log = step(stage, 2)
    assert {"discriminator/adversarial", "generator/adversarial"} <= set(log)
    assert all(torch.isfinite(torch.tensor(value)) for value in log.values())
    assert any(not torch.equal(value, at_start[key]) for key, value in live.delta().items())
    assert any(not torch.equal(value, at_start[key]) for key, value in average.delta().items())
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())
    assert stage.preview is not None and stage.preview().shape == (16, 3, resolution, resolution)


@pytest.mark.parametrize("name", ADAPTING)
def test_a_phase_reaches_only_the_group_it_names(
    name: str, generator: Generator, discriminator: Discriminator, images: Tensor, batches: type
) -> None:
    recipe = fit_to(lighter(ADAPTING[name]), k=10)
    stage, _, _ = build_stage(generator, discriminator, batches(images, 4), recipe, images=images)
    for phase in stage.phases:
        for key, group in stage.groups.items():
            for parameter in group.params:
                parameter.requires_grad_(key == phase.updates)
                parameter.grad = None
        terms = phase.terms(Batch(next(stage.batches), Draws(0), 0, 0.0))
        assert set(phase.weights) <= set(terms)
        sum(terms[term].mean() for term in phase.weights).backward()
        others = [p for key, group in stage.groups.items() if key != phase.updates for p in group.params]
        assert all(parameter.grad is None for parameter in others)
        assert any(parameter.grad is not None for parameter in stage.groups[phase.updates].params)


@pytest.mark.parametrize("k", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("batch", [3, 5, 6])
def test_any_number_of_images_and_any_batch(
    k: int, batch: int, small: tuple[Generator, Discriminator], step: Callable, batches: type
) -> None:
    images = torch.rand(k, 3, 8, 8) * 2 - 1
    recipe = fit_to(lighter(resolve_auto(k)).override(batch=batch), k=k)
    stage, live, _ = build_stage(*small, batches(images, batch), recipe, images=images, steps=2)
    step(stage, 2)
    assert all(value.isfinite().all() for value in live.delta().values())


@pytest.mark.parametrize("far", [False, True])
def test_two_processes_together_make_the_gradients_of_one(
    far: bool, generator: Generator, discriminator: Discriminator, images: Tensor, batches: type
) -> None:
    recipe = fit_to(lighter(resolve_auto(10, far=far)).override(batch=8, augment="fixed(0.5)"), k=10)
    recipe = recipe.override(path_weight=2.0, latents__every=2)

    def gradients(world_size: int, rank: int, at: int) -> list[dict[str, Tensor]]:
        stage, live, _ = build_stage(generator, discriminator, batches(images, 8), recipe, images=images)
        with torch.no_grad():
            for parameter in live.parameters():
                parameter.add_(0.1 * torch.ones_like(parameter))
        draws, found = Draws(0, rank=rank, world_size=world_size), []
        for phase in stage.phases:
            if phase.name == "generator_path":
                continue  # half of a batch of 4 pairs other samples
            group = stage.groups[phase.updates]
            for parameter in group.params:
                parameter.grad = None
            terms = phase.terms(Batch(images[:8][rank::world_size], draws, at, 0.0))
            sum((w(0.0) if callable(w) else w) * terms[key].mean() for key, w in phase.weights.items()).backward()
            found.append({str(i): p.grad.clone() for i, p in enumerate(group.params) if p.grad is not None})
        return found

    for at in (0, 1):
        one, first, second = gradients(1, 0, at), gradients(2, 0, at), gradients(2, 1, at)
        for whole, left, right in zip(one, first, second, strict=True):
            for key, value in whole.items():
                torch.testing.assert_close((left[key] + right[key]) / 2, value, atol=1e-5, rtol=1e-3)


def test_r1_is_taken_at_the_unaugmented_image(
    generator: Generator, discriminator: Discriminator, images: Tensor, batches: type
) -> None:
    """Without augmentation the phase equals half the squared gradient norm computed by hand."""
    stage, _, _ = build_stage(generator, discriminator, batches(images, 4), RECIPES["tgan"])
    phase = next(phase for phase in stage.phases if phase.name == "discriminator_r1")
    x = images[:4].clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x)
    value = phase.terms(Batch(images[:4], Draws(0), 0, 0.0))["r1"]
    torch.testing.assert_close(value.detach(), 0.5 * gradient.square().sum(dim=(1, 2, 3)))
    assert phase.every == 16 and phase.fp32


def test_schedule(generator: Generator, discriminator: Discriminator, images: Tensor, batches: type) -> None:
    recipe = fit_to(lighter(resolve_auto(10)).override(lr=0.01), k=10)
    stage, live, _ = build_stage(generator, discriminator, batches(images, 4), recipe, images=images)
    phases = {phase.name: phase for phase in stage.phases}
    assert phases["generator"].start == phases["discriminator"].start == phases["discriminator_warm_up"].stop == 50
    assert stage.groups["discriminator"].lazy_every == 16 and stage.groups["generator"].lazy_every == 0
    assert stage.groups["generator"].lr == 0.01 and stage.groups["discriminator"].lr == 2e-3
    relation = phases["generator"].weights["relation"]
    assert callable(relation) and relation(0.0) == 300.0 and relation(1.0) == 100.0
    assert set(stage.modules["generator"].state_dict()) == {f"parts.{name}" for name in live.delta()}
    without = recipe.override(r1_gamma=0.0, path_weight=2.0)
    stage, _, _ = build_stage(generator, discriminator, batches(images, 4), without, images=images, steps=20)
    assert {"discriminator_r1"}.isdisjoint(phase.name for phase in stage.phases)
    assert stage.groups["generator"].lazy_every == 4
    assert r1_gamma(RECIPES["tgan"], 64) == pytest.approx(2e-4 * 64**2 / 4)
    assert (ema_half_life(Recipe(steps=500)), ema_half_life(Recipe(steps=2000))) == (100.0, 300.0)


def test_models_that_cannot_be_fine_tuned_are_refused(
    generator: Generator, discriminator: Discriminator, images: Tensor, batches: type
) -> None:
    with pytest.raises(RecipeError, match=r"discriminator\.safetensors"):
        build_stage(generator, None, batches(images, 4), RECIPES["tgan"])
    with pytest.raises(RecipeError, match="from scratch"):
        build_stage(generator, discriminator, batches(images, 8), RECIPES["fastgan"])
    with pytest.raises(RecipeError, match="fit_to"):
        build_stage(generator, discriminator, batches(images, 4), RECIPES["cdc"])


def test_ada_rises_on_a_memorising_discriminator(small: tuple[Generator, Discriminator], images: Tensor) -> None:
    """A discriminator that learns three images by heart drives p above 0.3 within 300 steps."""
    generator, discriminator = small
    augment: Augmenter = Ada(speed=2.0).build(batch=4)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.0, 0.99))
    few, draws = images[[0, 1, 2, 0], :, ::2, ::2], Draws(0)
    for step in range(300):
        with torch.no_grad():
            fake = generator(draws.normal(4, 16), noise="none")
        real_logits = discriminator(augment(few, draws))
        loss = logistic_discriminator(real_logits, discriminator(augment(fake, draws))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        augment.observe(real_logits)
        log: dict[str, float] = {}
        augment.on_step(step, log)
        if log["augment_p"] > 0.3:
            return
    raise AssertionError(f"p is only {augment.p}")


@pytest.mark.parametrize("name", ["auto_near", "auto_far", "rick"])
def test_resumed_run_equals_uninterrupted_run(
    name: str, tmp_path: Path, small: tuple[Generator, Discriminator], images: Tensor, batches: type
) -> None:
    recipe = lighter(ADAPTING[name]).override(steps=6, warm_up=1, path_weight=2.0)
    recipe, seen = recipe.override(augment="ada(target=-1, speed=0.1)"), images[..., ::2, ::2]
    if name == "rick":
        recipe = recipe.override(trainable="fisher_mask(freeze=60, prune=10, every=2, samples=2)")

    def run(folder: Path, *, stop_after: int | None) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
        fitted = fit_to(recipe, k=10)
        stage, live, average = build_stage(*small, batches(seen, recipe.batch), fitted, images=seen)

        def crash(moment: Moment) -> None:
            if moment.step == stop_after:
                raise InterruptedError

        settings = LoopSettings(precision="fp32", checkpoint_steps=3)
        fit([stage], output_dir=folder, machine=Machine("cpu"), settings=settings, hooks=[crash])
        augment = stage.state["augment"]
        assert isinstance(augment, Augmenter)
        return live.delta(), average.delta(), augment.p

    whole = run(tmp_path / "whole", stop_after=None)
    with pytest.raises(InterruptedError):
        run(tmp_path / "parts", stop_after=4)
    resumed = run(tmp_path / "parts", stop_after=None)
    assert whole[2] == resumed[2] > 0
    for before, after in zip(whole[:2], resumed[:2], strict=True):
        assert all(torch.equal(value, after[key]) for key, value in before.items())


@pytest.mark.parametrize("name", ["auto_near", "auto_far", "cdc", "rick", "ewc"])
def test_runs_in_bfloat16(
    name: str, tmp_path: Path, small: tuple[Generator, Discriminator], images: Tensor, batches: type
) -> None:
    recipe = fit_to(lighter(ADAPTING[name]).override(steps=3, warm_up=1, path_weight=2.0), k=10)
    images = images[..., ::2, ::2]
    stage, live, _ = build_stage(*small, batches(images, recipe.batch), recipe, images=images)
    settings = LoopSettings(precision="bf16")
    result = fit([stage], output_dir=tmp_path, machine=Machine("cpu"), settings=settings)
    assert result.nonfinite == 0
    assert all(value.isfinite().all() for value in live.delta().values())


def test_stage_type(generator: Generator, discriminator: Discriminator, images: Tensor, batches: type) -> None:
    stage, live, average = build_stage(generator, discriminator, batches(images, 4), RECIPES["wedit"], device="cpu")
    assert isinstance(stage, Stage)
    assert stage.averages["generator"] == (live, average)
    assert live.source is not generator  # a copy: the given model stays usable
