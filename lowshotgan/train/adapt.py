"""Fine-tuning a generator to K images, from reading them to the report.

prepare (``adaptation``) -> predict -> train (the loop) -> choose a snapshot -> report (``outcome``)
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from lowshotgan.draws import Draws, latents_from_seeds
from lowshotgan.errors import RecipeError
from lowshotgan.finetune.adapted import AdaptedGenerator
from lowshotgan.finetune.heads import Judge
from lowshotgan.finetune.judge import make_judge
from lowshotgan.finetune.recipe import Recipe
from lowshotgan.finetune.selector import Selector, Snapshot, draw_samples
from lowshotgan.messages import tell, warn
from lowshotgan.metrics.memorization import Memorization, memorization
from lowshotgan.nets.stylegan2 import Discriminator
from lowshotgan.systems.stylegan2.system import StyleGAN2
from lowshotgan.train.adaptation import Adaptation, AdaptOptions
from lowshotgan.train.estimate import Estimate, estimate_stage
from lowshotgan.train.facts import finetuning_facts
from lowshotgan.train.log import standard_hooks, tell_stop
from lowshotgan.train.loop import FitResult, Hook, LoopSettings, fit
from lowshotgan.train.machine import Machine
from lowshotgan.train.outcome import Outcome, report_content, verdict
from lowshotgan.train.precision import settle_precision
from lowshotgan.train.report import write_report
from lowshotgan.train.run import RunFolder
from lowshotgan.train.source import TrainResult
from lowshotgan.types import PathLike

SELECTOR_SAMPLES = 128
"""Samples each snapshot is scored with."""
SCORE_AT_LEAST = 10
"""Fewest steps between two scores."""
SNAPSHOTS = 12
"""Scores during a run."""
COPY_SAMPLES = 500
"""Samples of the final model that are compared with the K images."""


@dataclass(frozen=True, kw_only=True)
class FinetuneResult(TrainResult):
    """A model fine-tuned by a recipe and how it came about: a ``TrainResult`` with what was judged.

    Attributes:
        model: the adapted model at the chosen snapshot; ``model.blend(t)`` moves it towards its base.
        recipe: what was run, with every setting resolved.
        proximity: how far the target is from the source; about 1 for the source's own images, larger the farther.
        history: scores by step.
        snapshots: the kept ones, best first; ``at(step)`` gives their models, and later ``load(run, at=step)``.
        memorization: what the final model copies of the K images.
        report_path: ``report.html`` in the run folder ``output_dir``.
        estimate: time and memory predicted before the first step.
        last: the model at the end of the run, whatever was chosen.
    """

    model: StyleGAN2
    recipe: Recipe
    proximity: float
    history: Sequence[Mapping[str, float]]
    snapshots: Sequence[Snapshot]
    memorization: Memorization
    report_path: Path
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
        return at_snapshot(self.model, found[step])


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
    estimate = estimate_stage(
        stage,
        machine,
        precision=settle_precision(work.settings.precision, machine),
        accumulate=work.settings.accumulate,
        score=lambda: selector.judge(selector.samples()),
        scores=stage.steps // selector.every,
    )
    if machine.is_main:
        _announce(work, estimate, everything=progress)
    standard = standard_hooks(run.path, budget=work.settings.budget, progress=progress, tensorboard=tensorboard)
    done = fit(
        [stage],
        output_dir=run.path,
        machine=machine,
        settings=replace(work.settings, config=work.identity()),
        hooks=[*standard, *hooks],
        begin=lambda: run.begin(config),
    )
    if machine.is_main:
        tell_stop(done, budget=work.settings.budget, folder=run.path)
    if done.stopped == "interrupted":
        raise KeyboardInterrupt
    judge = cast(Judge, stage.modules["discriminator"])
    return _finish(work, run, average, judge.discriminator, selector, done, estimate)


def at_snapshot(model: StyleGAN2, snapshot: Snapshot) -> StyleGAN2:
    """A model like the fine-tuned ``model``, with what was trained until another moment."""
    assert model.adapted is not None
    adapted = AdaptedGenerator(model.adapted.source, model.adapted.trainables)
    adapted.load_delta(snapshot.tensors)
    other = StyleGAN2.from_adapted(adapted, like=model, base_name=model.base_name)
    facts = {name: fact for name, fact in model.details["finetuning"].items() if name != "measured"}
    other.details = {**model.details, "finetuning": {**facts, "chosen_step": snapshot.step}}
    return other


def _announce(work: Adaptation, estimate: Estimate, *, everything: bool) -> None:
    """Say what was read and, with ``everything``, what will be done and how long it takes."""
    tell(work.images.report.summary())
    if not everything:
        return
    flip = "mirrored at random; flip=False (--no-flip) for text and faces that look one way"
    tell(f"K = {work.k}: the images are {flip if work.recipe.flip else 'never mirrored'}.")
    name = work.base.source_name or work.base.arch
    tell(
        f"Distance to {name}: {work.proximity:.2f} ({work.distance}; 1 is as far as its own images are from each other)."
    )
    tell(work.why())
    limit = work.settings.budget
    tell(f"{work.recipe.steps} steps, {estimate}." + (f" Budget: {limit:.0f} s." if limit else ""))


def _save_snapshots(model: StyleGAN2, selector: Selector, run: RunFolder) -> None:
    """Write what each kept snapshot trained beside the model, in place of those of an earlier end of the run."""
    for former in run.snapshots.values():
        former.unlink()
    for snapshot in selector.snapshots:
        at_snapshot(model, snapshot).save_delta(run.snapshot(snapshot.step))


def _finish(
    work: Adaptation,
    run: RunFolder,
    average: AdaptedGenerator,
    trained: Discriminator,
    selector: Selector,
    done: FitResult,
    estimate: Estimate,
) -> FinetuneResult:
    """Choose a snapshot, save the model with the discriminator of the last step, and write the report."""
    base_name = work.base.source_name
    last = StyleGAN2.from_adapted(copy.deepcopy(average), like=work.base, base_name=base_name, discriminator=trained)
    if not selector.history or selector.history[-1]["step"] != done.steps:
        selector.score(done.steps)
    chosen = selector.restore()
    model = StyleGAN2.from_adapted(average, like=work.base, base_name=base_name, discriminator=trained)
    if not selector.qualifies():
        warn(
            f"no snapshot kept both limits (diversity at least {selector.limits.min_diversity:.0%} of the base, copies at "
            f"most {selector.limits.max_memorization:.0%}); the nearest one, step {chosen.step}, was taken."
        )
    seeds = list(range(COPY_SAMPLES))
    samples = draw_samples(model.generator, latents_from_seeds(seeds, model.generator.z_dim))
    copies = memorization(samples, work.pixels, extractor=work.extractor)
    model.details["finetuning"] = finetuning_facts(work, selector, chosen, copies, done)
    content = report_content(work, Outcome(run, model, selector, chosen, samples, copies, done, estimate))
    report_path = run.path / "report.html"
    if work.machine.is_main:
        model.save_pretrained(run.model)
        report_path = write_report(content, run.path)
        _save_snapshots(model, selector, run)
        tell(verdict(selector, chosen, copies, names=work.images.names))
        tell(f"Model and report are in {run.path}: open {report_path}.")
    model.source_name = str(run.path)
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
        fit=done,
        estimate=estimate,
        last=last,
    )
