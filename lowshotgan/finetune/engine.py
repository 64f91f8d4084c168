"""From a recipe to a stage of the training loop. Reads the recipe's parts, never its name.

discriminator -> discriminator_r1 (every 16th step) -> generator -> generator_path (if on)
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from lowshotgan.draws import Draws, preview_of
from lowshotgan.errors import RecipeError
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.finetune.augment import Augmenter
from lowshotgan.finetune.fisher import FilterMasks, MaskContext
from lowshotgan.finetune.heads import Judge
from lowshotgan.finetune.latents import LatentDraw, LatentSource
from lowshotgan.finetune.recipe import Recipe, with_steps
from lowshotgan.finetune.regularizers import Features, Penalty, SourceModel
from lowshotgan.losses.adversarial import logistic_discriminator, logistic_generator
from lowshotgan.losses.penalties import path_lengths, r1
from lowshotgan.nets.layers import MinibatchStd
from lowshotgan.nets.stylegan2 import Discriminator, Generator
from lowshotgan.processes import PathMean, whole_batch
from lowshotgan.types import Batch, Batches, ParamGroup, Phase, Stage, Stateful, Weight

SHORT_RUN = 1000
"""Runs of fewer steps average over a shorter time."""


def build_stage(
    generator: Generator,
    discriminator: Discriminator | None,
    batches: Batches,
    recipe: Recipe,
    *,
    images: Tensor | None = None,
    steps: int | None = None,
    seed: int = 0,
    preview_seeds: Sequence[int] = range(16),
    device: torch.device | str = "cpu",
) -> tuple[Stage, AdaptedGenerator, AdaptedGenerator]:
    """Describe the fine-tuning of a generator as one stage.

    Args:
        generator: the source; copied, never changed.
        discriminator: its discriminator; copied, never changed.
        batches: yields ``(B, 3, R, R)`` images in [-1, 1], mirrored or not as the recipe's ``flip`` says.
        recipe: fitted to the number of images by ``fit_to``.
        images: all ``(K, 3, R, R)`` target images in [-1, 1], for regularizers that compare with them (``twins``).
        steps: instead of the recipe's.
        seed: of anchors, new layers and one-off estimates.
        preview_seeds: of the preview images.
        device: where everything runs.

    Returns:
        The stage, the live adapted generator and its running average (the model to keep).

    Raises:
        RecipeError: if the recipe does not fit the model.
    """
    if recipe.scratch:
        raise RecipeError(f"recipe {recipe.name} trains from scratch, not from a model; start it by finetune().")
    if discriminator is None:
        raise RecipeError(
            "this model has no discriminator, which fine-tuning needs. Use a model folder with "
            "discriminator.safetensors, or train one for it first."
        )
    recipe = with_steps(recipe, steps)
    nets = _build_nets(generator, discriminator, recipe, images, seed, torch.device(device))
    return _stage(nets, batches, recipe, preview_seeds), nets.live, nets.average


@dataclass
class _Nets:
    """Everything a run is made of."""

    live: AdaptedGenerator
    average: AdaptedGenerator
    judge: Judge
    judge_average: Judge | None
    latents: LatentSource
    augment: Augmenter
    penalties: dict[str, Penalty]
    masks: FilterMasks | None


def _build_nets(
    generator: Generator,
    discriminator: Discriminator,
    recipe: Recipe,
    images: Tensor | None,
    seed: int,
    device: torch.device,
) -> _Nets:
    source = copy.deepcopy(generator).to(device).eval().requires_grad_(False)
    teacher = copy.deepcopy(discriminator).to(device).eval().requires_grad_(False)
    live = AdaptedGenerator(source, recipe.trainable, seed=seed)
    average = AdaptedGenerator(source, recipe.trainable, seed=seed).requires_grad_(False)
    judge = recipe.head.build(teacher, random=torch.Generator().manual_seed(seed)).to(device)
    context = MaskContext(live, average, judge, copy.deepcopy(judge), source.z_dim, seed, recipe.warm_up)
    controllers = (part.controller(context) for part in recipe.trainable)
    masks = next((controller for controller in controllers if controller is not None), None)
    _judge_whole_batches(judge)
    model = SourceModel(source, teacher, tuple(live.overrides()), seed, None if images is None else images.to(device))
    return _Nets(
        live=live,
        average=average,
        judge=judge,
        judge_average=cast(Judge, context.judge_average).requires_grad_(False) if masks else None,
        latents=recipe.latents.build(source.z_dim, source.num_ws, seed=seed),
        augment=recipe.augment.build(batch=recipe.batch),
        penalties={part.kind: part.build(model) for part in recipe.regularizers},
        masks=masks,
    )


class FineTuningLosses:
    """The loss terms of one step; each method maps a batch to named ``(B,)`` values."""

    def __init__(self, nets: _Nets) -> None:
        self.nets = nets
        self.path_mean = PathMean()

    def discriminator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Adversarial loss of the discriminator."""
        nets, draw = self.nets, self.draw(batch)
        with torch.no_grad():
            fake, _ = self.images(nets.live, draw.styles(nets.live), batch.draws)
        real_logits = self.logits(batch.images, draw, batch)
        fake_logits = self.logits(fake, draw, batch)
        nets.augment.observe(real_logits)
        if nets.masks is not None:
            nets.masks.observe(whole_batch(batch.images))
        return {
            "adversarial": logistic_discriminator(real_logits, fake_logits),
            "real": real_logits.detach(),
            "fake": fake_logits.detach(),
        }

    def r1_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Half the squared gradient norm at the un-augmented real images, to be weighted by gamma."""
        draw = self.draw(batch)
        return {"r1": 0.5 * r1(lambda images: self.logits(images, draw, batch), batch.images)}

    def generator_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Adversarial loss of the generator and every regularizer."""
        scene = _Scene(self, batch, self.draw(batch))
        logits = self.logits(scene.images, scene.latents, batch)
        penalties = {name: penalty(scene) for name, penalty in self.nets.penalties.items()}
        return {"adversarial": logistic_generator(logits)} | penalties

    def path_terms(self, batch: Batch) -> Mapping[str, Tensor]:
        """Squared distance of path lengths from their running mean, on half a batch."""
        live, count = self.nets.live, max(len(batch.images) // 2, 1)
        ws = self.nets.latents.gaussian(count, batch.draws).styles(live)
        ws = ws if ws.requires_grad else ws.detach().requires_grad_(True)
        images, _ = self.images(live, ws, batch.draws)
        lengths = path_lengths(images, ws, batch.draws.normal(count, *images.shape[1:]))
        return {"path": (lengths - self.path_mean.update(lengths)).square()}

    def draw(self, batch: Batch) -> LatentDraw:
        """Latents for as many images as the batch holds."""
        return self.nets.latents.draw(len(batch.images), batch.step, batch.draws)

    def images(
        self,
        generator: AdaptedGenerator | Generator,
        ws: Tensor,
        draws: Draws,
        noise: list[Tensor] | None = None,
    ) -> tuple[Tensor, Features]:
        """Images ``(B, 3, R, R)`` and synthesis maps, with fresh noise unless it is given."""
        if noise is None:
            noise = self.nets.live.draw_noise(len(ws), draws)
        drawn = generator.synthesis(ws, noise=noise, return_features=True)
        return cast("tuple[Tensor, Features]", drawn)

    def logits(self, images: Tensor, draw: LatentDraw, batch: Batch) -> Tensor:
        """Logits of augmented images."""
        seen = self.nets.augment(images, batch.draws)
        return cast(Tensor, self.nets.judge(seen, whole=draw.whole, step=batch.step))


class _Scene:
    """One generator step as the regularizers see it (``regularizers.Scene``)."""

    def __init__(self, losses: FineTuningLosses, batch: Batch, latents: LatentDraw) -> None:
        self.losses, self.batch, self.latents = losses, batch, latents
        live = losses.nets.live
        self.noise = live.draw_noise(len(batch.images), batch.draws)
        self.images, self.maps = losses.images(live, latents.styles(live), batch.draws, self.noise)
        self._source_maps: Features | None = None

    @property
    def draws(self) -> Draws:
        return self.batch.draws

    @property
    def count(self) -> int:
        return len(self.batch.images)

    def draw(self, styles: Tensor) -> Tensor:
        return self.losses.images(self.losses.nets.live, styles, self.draws)[0]

    def features(self, *, fresh: bool) -> tuple[Features, Features]:
        live = self.losses.nets.live
        if fresh:
            latents = self.losses.nets.latents.gaussian(len(self.batch.images), self.draws)
            noise = live.draw_noise(len(self.batch.images), self.draws)
            _, maps = self.losses.images(live, latents.styles(live), self.draws, noise)
            return self._of_source(latents, noise), maps
        if self._source_maps is None:
            self._source_maps = self._of_source(self.latents, self.noise)
        return self._source_maps, self.maps

    def parameters(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        live = self.losses.nets.live
        return live.source_parameters(), live.overrides()

    @torch.no_grad()
    def _of_source(self, latents: LatentDraw, noise: list[Tensor]) -> Features:
        source = self.losses.nets.live.source
        return self.losses.images(source, latents.styles(source), self.draws, noise)[1]


def r1_gamma(recipe: Recipe, resolution: int) -> float:
    """The recipe's gamma, or ``2e-4 resolution^2 / batch`` (the heuristic of the ADA code)."""
    return 2e-4 * resolution**2 / recipe.batch if recipe.r1_gamma is None else recipe.r1_gamma


def ema_half_life(recipe: Recipe) -> float:
    """The recipe's half-life, or 300 steps, or 100 in short runs."""
    if recipe.ema_half_life is not None:
        return recipe.ema_half_life
    return 100.0 if recipe.steps < SHORT_RUN else 300.0


def _stage(nets: _Nets, batches: Batches, recipe: Recipe, preview_seeds: Sequence[int]) -> Stage:
    losses = FineTuningLosses(nets)
    state: dict[str, Stateful] = {
        "augment": nets.augment,
        "latents": nets.latents,
        "path_mean": losses.path_mean,
    }
    averages: dict[str, tuple[Any, Any]] = {"generator": (nets.live, nets.average)}
    on_step: list[Callable[[int, dict[str, float]], None]] = [nets.augment.on_step]
    if nets.masks is not None:
        assert nets.judge_average is not None
        state["masks"] = nets.masks
        averages["discriminator"] = (nets.judge, nets.judge_average)
        on_step.append(nets.masks)
    return Stage(
        name="finetune",
        steps=recipe.steps,
        batches=batches,
        groups=_groups(nets, recipe),
        phases=_phases(losses, recipe),
        modules={"generator": nets.live, "discriminator": nets.judge},
        averages=averages,
        ema_half_life=ema_half_life(recipe),
        state=state,
        on_step=on_step,
        preview=preview_of(nets.average, preview_seeds),
    )


def _groups(nets: _Nets, recipe: Recipe) -> dict[str, ParamGroup]:
    has_r1 = r1_gamma(recipe, nets.live.resolution) > 0
    return {
        "discriminator": ParamGroup(
            nets.judge.parameters_to_train(), lr=recipe.d_lr, lazy_every=recipe.r1_every if has_r1 else 0
        ),
        "generator": ParamGroup(
            list(nets.live.parameters()),
            lr=recipe.lr,
            lazy_every=recipe.path_every if recipe.path_weight else 0,
        ),
    }


def _phases(losses: FineTuningLosses, recipe: Recipe) -> list[Phase]:
    nets, start = losses.nets, recipe.warm_up
    mask_judge, mask_generator = _judge_mask(nets), nets.masks.mask_generator if nets.masks else None
    phases = []
    if start:
        final = _final_only(nets.judge) if recipe.warm_up_final else mask_judge
        phases.append(_discriminator("discriminator_warm_up", losses, stop=start, mask=final))
    phases.append(_discriminator("discriminator", losses, start=start, mask=mask_judge))
    gamma = r1_gamma(recipe, nets.live.resolution)
    if gamma > 0:
        phases.append(
            Phase(
                "discriminator_r1",
                "discriminator",
                losses.r1_terms,
                {"r1": gamma},
                every=recipe.r1_every,
                start=start if recipe.warm_up_final else 0,
                fp32=True,
                mask_gradients=mask_judge,
            )
        )
    weights: dict[str, Weight] = {"adversarial": 1.0}
    weights |= {part.kind: part.schedule() for part in recipe.regularizers}
    phases.append(
        Phase(
            "generator",
            "generator",
            losses.generator_terms,
            weights,
            start=start,
            mask_gradients=mask_generator,
        )
    )
    if recipe.path_weight:
        phases.append(
            Phase(
                "generator_path",
                "generator",
                losses.path_terms,
                {"path": recipe.path_weight},
                every=recipe.path_every,
                start=start,
                fp32=True,
                mask_gradients=mask_generator,
            )
        )
    return phases


def _discriminator(
    name: str,
    losses: FineTuningLosses,
    *,
    start: int = 0,
    stop: int | None = None,
    mask: Callable[[], None] | None,
) -> Phase:
    weights: dict[str, Weight] = {"adversarial": 1.0}
    return Phase(
        name,
        "discriminator",
        losses.discriminator_terms,
        weights,
        start=start,
        stop=stop,
        mask_gradients=mask,
    )


def _judge_whole_batches(judge: Judge) -> None:
    """Let the minibatch deviation of a judge in training see the whole batch, however many processes share it."""
    for layer in judge.modules():
        if isinstance(layer, MinibatchStd):
            layer.across = True


def _judge_mask(nets: _Nets) -> Callable[[], None] | None:
    return nets.masks.mask_discriminator if nets.masks is not None else None


def _final_only(judge: Judge) -> Callable[[], None]:
    """Drop the gradients of everything but the last layers."""
    early = [judge.get_parameter(name) for name in judge.trained if not judge.is_final(name)]

    def mask() -> None:
        for parameter in early:
            parameter.grad = None

    return mask
