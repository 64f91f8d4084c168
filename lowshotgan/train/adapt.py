"""Fine-tuning a generator to K images, from reading them to the report.

inspect -> measure the distance -> resolve the recipe -> predict -> train (the loop) -> choose a snapshot -> report
"""

import copy
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowshotgan import __version__
from lowshotgan.checks import one_of
from lowshotgan.data.batches import ImageBatches
from lowshotgan.data.dataset import ImageSet, load_images
from lowshotgan.data.images import from_uint8, to_uint8
from lowshotgan.draws import Draws, latents_from_seeds
from lowshotgan.errors import RecipeError
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.finetune.engine import build_stage
from lowshotgan.finetune.judge import make_judge
from lowshotgan.finetune.proximity import NEAR, proximity
from lowshotgan.finetune.recipe import Recipe, fit_to
from lowshotgan.finetune.recipes import AUTO, get_recipe
from lowshotgan.finetune.selector import Selector, Snapshot
from lowshotgan.messages import tell, warn
from lowshotgan.metrics.extractors import Extractor, load_extractor
from lowshotgan.metrics.memorization import Memorization, memorization
from lowshotgan.systems.stylegan2.system import StyleGAN2
from lowshotgan.train.estimate import Estimate, estimate_stage, peak_memory
from lowshotgan.train.log import standard_hooks
from lowshotgan.train.loop import FitResult, Hook, LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.report import CopyPair, CurvePoint, FinetuneReport, write_report
from lowshotgan.train.run import RunFolder, identity
from lowshotgan.types import PathLike, Stage

PROBE_SAMPLES = 300
"""Source samples the distance to the target is measured with."""
SELECTOR_SAMPLES = 128
"""Samples each snapshot is scored with."""
SCORE_AT_LEAST = 10
"""Fewest steps between two scores."""
SNAPSHOTS = 12
"""Scores during a run."""
REPORT_SEEDS = range(20)
COPY_SAMPLES = 500
"""Samples of the final model that are compared with the K images."""


@dataclass(frozen=True)
class FinetuneResult:
    """A fine-tuned model and how it came about.

    Attributes:
        model: the adapted model at the chosen snapshot; ``model.blend(t)`` moves it towards its base.
        recipe: what was run, with every setting resolved.
        proximity: how easily the target is told from the source, 0.5 (near) to 1 (far); ``None`` for one image.
        history: scores by step.
        snapshots: the kept ones, best first; ``at(step)`` gives their models.
        memorization: what the final model copies of the K images.
        output_dir: the run folder.
        report_path: its ``report.html``.
        seconds: training time over all resumptions.
        steps: steps done.
        stopped: "finished" or "budget".
        estimate: time and memory predicted before the first step.
        last: the model at the end of the run, whatever was chosen.
    """

    model: StyleGAN2
    recipe: Recipe
    proximity: float | None
    history: Sequence[Mapping[str, float]]
    snapshots: Sequence[Snapshot]
    memorization: Memorization
    output_dir: Path
    report_path: Path
    seconds: float
    steps: int
    stopped: str
    estimate: Estimate
    last: StyleGAN2 = field(repr=False)

    def at(self, step: int) -> StyleGAN2:
        """The model at one of the kept snapshots.

        Raises:
            RecipeError: if no snapshot of that step was kept.
        """
        found = {snapshot.step: snapshot for snapshot in self.snapshots}
        if step not in found:
            raise RecipeError(f"no snapshot of step {step} was kept; there are {sorted(found)}.")
        assert self.model.adapted is not None
        return with_delta(self.model, self.model.adapted, found[step].tensors)


@dataclass(frozen=True)
class AdaptOptions:
    """Choices of a fine-tuning besides the recipe; see ``api.finetune``."""

    recipe: str | Recipe = AUTO
    steps: int | None = None
    batch_size: int | None = None
    k: int | None = None
    flip: bool | None = None
    fit: str = "crop"
    background: tuple[int, int, int] = (255, 255, 255)
    proximity: str | None = None
    extractor: str = "auto"
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.proximity is not None:
            one_of("proximity", self.proximity, ("near", "far"))


class Adaptation:
    """One fine-tuning, prepared but not begun: everything that can go wrong with the input has gone wrong here.

    Args:
        model: the base, with its discriminator.
        images: anything ``load_images`` opens.
        options: what was asked for.
        settings: of the loop.
        machine: where it runs.
    """

    def __init__(
        self, model: StyleGAN2, images: Any, options: AdaptOptions, settings: LoopSettings, machine: Machine
    ) -> None:
        if not isinstance(model, StyleGAN2):
            raise RecipeError(
                f"finetune() adapts stylegan2 models, got {type(model).__name__}; use train() for others."
            )
        if model.discriminator is None:
            raise RecipeError(
                f"{model.source_name or model.arch} has no discriminator, which fine-tuning needs. Use a model folder "
                "with discriminator.safetensors, or train one."
            )
        self.base, self.settings, self.machine, self.options = model, settings, machine, options
        self.images: ImageSet = load_images(
            images,
            resolution=model.config.resolution,
            fit=options.fit,
            background=options.background,
            k=options.k,
            seed=settings.seed,
        )
        model.to(machine.device)
        self.pixels = self.images.uint8()
        self.extractor: Extractor = load_extractor(options.extractor, device=machine.device)
        self.proximity = self._measure_proximity()
        self.recipe = self._resolve()

    @property
    def k(self) -> int:
        return len(self.images)

    def stage(self) -> tuple[Stage, AdaptedGenerator, AdaptedGenerator]:
        """The stage the loop will run, the live and the averaged generator."""
        batches = ImageBatches(
            self.images,
            self.recipe.batch,
            flip=self.recipe.flip,
            seed=self.settings.seed,
            rank=self.machine.rank,
            world_size=self.machine.world_size,
            device=self.machine.device,
        )
        return build_stage(
            self.base.generator,
            self.base.discriminator,
            batches,
            self.recipe,
            seed=self.settings.seed,
            preview_seeds=REPORT_SEEDS,
            device=self.machine.device,
        )

    def config(self) -> dict[str, Any]:
        """Everything the run depends on, as plain values."""
        return {
            "base": self.base.source_name,
            "base_digest": self.base.digest,
            "model": self.base.describe(),
            "images": {"k": self.k, "digest": self.images.digest, "subset": self.images.subset},
            "preprocess": self.images.preprocess.to_dict(),
            "proximity": self.proximity,
            "recipe": self.recipe.to_dict(),
            "extractor": self.extractor.name,
            "seed": self.settings.seed,
            "precision": self.settings.precision,
            "accumulate": self.settings.accumulate,
            "budget": self.settings.budget,
        }

    def why(self) -> str:
        """The recipe's parts in one line; for ``auto`` after the reason it was chosen."""
        parts = self.recipe.explain()
        if self.recipe.name != AUTO:
            return parts
        if self.proximity is None:
            return f"One image: only an offset of the styles is trained. {parts}"
        side = (
            "near enough to keep the base's relations"
            if self.proximity < NEAR
            else "far, so more of the base may change"
        )
        return f"{self.k} images whose distance to the base is {self.proximity:.2f}: {side}. {parts}"

    def command(self, run: RunFolder) -> str:
        """The command line that runs this again; settings of the recipe that were overridden are in ``config.json``."""
        words = ["lowshotgan finetune", str(self.images.source.description), "--output", str(run.path)]
        words += ["--model", str(self.base.source_name)] if self.base.source_name else []
        return " ".join([*words, "--recipe", self.recipe.name, "--seed", str(self.settings.seed)])

    def _measure_proximity(self) -> float | None:
        if self.options.proximity is not None:
            return 0.5 if self.options.proximity == "near" else 1.0
        if self.k < 2 or self.base.discriminator is None:
            return None
        latents = latents_from_seeds(list(range(PROBE_SAMPLES)), self.base.generator.z_dim)
        samples = from_uint8(draw_samples(self.base.generator, latents))
        shown = from_uint8(self.pixels)
        device = self.machine.device
        return proximity(self.base.discriminator, shown.to(device), samples.to(device))

    def _resolve(self) -> Recipe:
        options = self.options
        recipe = options.recipe
        if isinstance(recipe, str):
            recipe = get_recipe(recipe, k=self.k, proximity=self.proximity, steps=options.steps)
        changes = dict(options.overrides)
        changes |= {"batch": options.batch_size} if options.batch_size is not None else {}
        changes |= {"flip": options.flip} if options.flip is not None else {}
        return fit_to(recipe.override(**changes), k=self.k, world_size=self.machine.world_size)


def adapt(
    model: StyleGAN2,
    images: Any,
    *,
    output_dir: PathLike,
    options: AdaptOptions | None = None,
    settings: LoopSettings | None = None,
    device: str | None = None,
    hooks: Sequence[Hook] = (),
    progress: bool = True,
    tensorboard: bool = False,
    dry_run: bool = False,
) -> FinetuneResult | dict[str, Any]:
    """Fine-tune ``model`` to ``images``; see ``api.finetune``."""
    run, machine = RunFolder(output_dir), Machine(device)
    work = Adaptation(model, images, options or AdaptOptions(), settings or LoopSettings(), machine)
    config = work.config()
    if dry_run:
        return config
    stage, _, average = work.stage()
    latents = Draws(work.settings.seed).normal(SELECTOR_SAMPLES, model.generator.z_dim)
    selector = Selector(
        average,
        make_judge(work.pixels, draw_samples(model.generator, latents), work.extractor, flip=work.recipe.flip),
        every=max(work.recipe.steps // SNAPSHOTS, SCORE_AT_LEAST),
        count=SELECTOR_SAMPLES,
        start=work.recipe.warm_up,
        seed=work.settings.seed,
    )
    selector.attach(stage)
    estimate = estimate_stage(stage, machine)
    if progress and machine.is_main:
        _announce(work, estimate)
    if machine.is_main:
        run.begin(config)
    standard = standard_hooks(run.path, budget=work.settings.budget, progress=progress, tensorboard=tensorboard)
    fixed = {key: value for key, value in config.items() if key != "budget"}
    done = fit(
        [stage],
        output_dir=run.path,
        machine=machine,
        settings=replace(work.settings, identity=identity(fixed)),
        hooks=[*standard, *hooks],
    )
    if done.stopped == "interrupted":
        tell(f"Stopped at step {done.steps}; a checkpoint is in {run.path}. Run the same command again to go on.")
        raise KeyboardInterrupt
    return _finish(work, run, average, selector, done, estimate)


def with_delta(model: StyleGAN2, adapted: AdaptedGenerator, tensors: Mapping[str, Tensor]) -> StyleGAN2:
    """A model like ``model`` whose generator has other trained tensors."""
    other = AdaptedGenerator(adapted.source, adapted.trainables)
    other.load_delta(tensors)
    return StyleGAN2.from_adapted(other, like=model)


@torch.no_grad()
def draw_samples(generator: Any, latents: Tensor, *, batch: int = 32) -> Tensor:
    """``(N, 3, R, R)`` uint8 images, on the CPU, of ``latents (N, z_dim)``, with the stored noise."""
    device = next(generator.parameters()).device
    return torch.cat([to_uint8(generator(part.to(device))).cpu() for part in latents.split(batch)])


def _announce(work: Adaptation, estimate: Estimate) -> None:
    """Say what was read, what will be done and how long it takes."""
    tell(work.images.report.summary())
    if work.proximity is not None:
        distance = "near" if work.proximity < NEAR else "far"
        tell(f"Distance to {work.base.source_name or work.base.arch}: {work.proximity:.2f} ({distance}; 0.5 to 1).")
    tell(work.why())
    limit = work.settings.budget
    tell(f"{work.recipe.steps} steps, {estimate}." + (f" Budget: {limit:.0f} s." if limit else ""))


def _finish(
    work: Adaptation,
    run: RunFolder,
    average: AdaptedGenerator,
    selector: Selector,
    done: FitResult,
    estimate: Estimate,
) -> FinetuneResult:
    """Choose a snapshot, save the model and write the report."""
    last = StyleGAN2.from_adapted(copy.deepcopy(average), like=work.base)
    if not selector.history or selector.history[-1]["step"] != done.steps:
        selector.score(done.steps)
    chosen = selector.restore()
    model = StyleGAN2.from_adapted(average, like=work.base)
    if not selector.qualifies():
        warn(
            f"no snapshot kept both limits (diversity at least {selector.limits.min_diversity:.0%} of the base, copies at "
            f"most {selector.limits.max_memorization:.0%}); the nearest one, step {chosen.step}, was taken."
        )
    seeds = list(range(COPY_SAMPLES))
    samples = draw_samples(model.generator, latents_from_seeds(seeds, model.generator.z_dim))
    copies = memorization(samples, work.pixels, extractor=work.extractor)
    content = _report(work, run, model, selector, chosen, samples, copies, done, estimate)
    report_path = run.path / "report.html"
    if work.machine.is_main:
        model.save_pretrained(run.model)
        report_path = write_report(content, run.path)
        tell(f"Model and report are in {run.path}: open {report_path}.")
    work.machine.wait()
    return FinetuneResult(
        model=model,
        recipe=work.recipe,
        proximity=work.proximity,
        history=selector.history,
        snapshots=selector.snapshots,
        memorization=copies,
        output_dir=run.path,
        report_path=report_path,
        seconds=done.seconds,
        steps=done.steps,
        stopped=done.stopped,
        estimate=estimate,
        last=last,
    )


def _report(
    work: Adaptation,
    run: RunFolder,
    model: StyleGAN2,
    selector: Selector,
    chosen: Snapshot,
    samples: Tensor,
    copies: Memorization,
    done: FitResult,
    estimate: Estimate,
) -> FinetuneReport:
    kept = {snapshot.step for snapshot in selector.snapshots}
    curve = [
        CurvePoint(
            step=int(point["step"]),
            fidelity=point["fidelity"],
            diversity=point["diversity"],
            memorization=point["memorization"],
            kept=int(point["step"]) in kept,
            chosen=int(point["step"]) == chosen.step,
        )
        for point in selector.history
    ]
    nearest = [
        CopyPair(
            seed=pair.fake,
            sample=samples[pair.fake],
            nearest=work.pixels[pair.train].flip(-1) if pair.mirrored else work.pixels[pair.train],
            nearest_name=work.images.names[pair.train],
            ratio=pair.ratio,
            copied=pair in copies.copies,
        )
        for pair in copies.pairs[:8]
    ]
    latents = latents_from_seeds(list(REPORT_SEEDS), model.generator.z_dim)
    return FinetuneReport(
        inputs=work.pixels,
        names=work.images.names,
        seeds=list(REPORT_SEEDS),
        base=draw_samples(work.base.generator, latents),
        adapted=draw_samples(model.generator, latents),
        curve=curve,
        copies=nearest,
        summary=_summary(work, run, model, selector, chosen, copies, done, estimate),
    )


def _summary(
    work: Adaptation,
    run: RunFolder,
    model: StyleGAN2,
    selector: Selector,
    chosen: Snapshot,
    copies: Memorization,
    done: FitResult,
    estimate: Estimate,
) -> dict[str, Any]:
    assert model.adapted is not None
    limits = selector.limits
    warnings = [] if selector.qualifies() else ["No snapshot kept both limits; the nearest one was taken."]
    warnings += [] if done.nonfinite == 0 else [f"{done.nonfinite} gradient values were NaN or infinite and replaced."]
    return {
        "base": work.base.source_name or work.base.arch,
        "recipe": work.recipe.name,
        "recipe_explained": work.why(),
        "settings": work.recipe.to_dict(),
        "k": work.k,
        "images": work.images.source.description,
        "command": work.command(run),
        "input_summary": work.images.report.summary(),
        "proximity": work.proximity,
        "distance": None if work.proximity is None else "near" if work.proximity < NEAR else "far",
        "steps": done.steps,
        "stopped": done.stopped,
        "chosen_step": chosen.step,
        "limits": {"min_diversity": limits.min_diversity, "max_memorization": limits.max_memorization},
        "seconds": done.seconds,
        "seconds_predicted": estimate.seconds,
        "peak_memory_mb": peak_memory(work.machine.device) / 2**20,
        "delta_bytes": model.adapted.describe()["bytes"],
        "memorization": copies.rate,
        "memorization_samples": len(copies.pairs),
        "protocol": f"{work.extractor.name}-{work.extractor.fingerprint[:8]}, {selector.latents.shape[0]} samples a score",
        "warnings": warnings,
        "device": str(work.machine.device),
        "precision": work.settings.precision,
        "seed": work.settings.seed,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lowshotgan": __version__,
        },
        "output_dir": str(run.path),
    }
