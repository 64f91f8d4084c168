"""What came out of a fine-tuning, as its report shows it."""

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowshotgan import __version__
from lowshotgan.draws import latents_from_seeds
from lowshotgan.finetune.selector import Selector, Snapshot, draw_samples
from lowshotgan.metrics.memorization import Memorization
from lowshotgan.systems.stylegan2.system import StyleGAN2
from lowshotgan.train.adaptation import REPORT_SEEDS, Adaptation
from lowshotgan.train.again import run_again
from lowshotgan.train.estimate import Estimate, peak_memory
from lowshotgan.train.loop import FitResult
from lowshotgan.train.report import CopyPair, CurvePoint, FinetuneReport
from lowshotgan.train.run import RunFolder


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        run: its folder.
        model: the adapted model at the chosen snapshot.
        selector: with its history.
        chosen: the snapshot.
        samples: ``(N, 3, R, R)`` uint8 of the model, that were searched for copies.
        copies: what was found.
        done: how the loop ended.
        estimate: what was predicted.
    """

    run: RunFolder
    model: StyleGAN2
    selector: Selector
    chosen: Snapshot
    samples: Tensor
    copies: Memorization
    done: FitResult
    estimate: Estimate


def verdict(selector: Selector, chosen: Snapshot, copies: Memorization, *, names: Sequence[str]) -> str:
    """Where the chosen snapshot lies between fidelity and diversity, what else was kept, and which images it copies."""
    others = [one for one in selector.curve() if one.step != chosen.step]
    kept = f" Kept besides: {'; '.join(map(_place, others))}." if others else ""
    copied = sorted({names[pair.train] for pair in copies.copies})
    found = (
        f"{len(copies.copies)} of {len(copies.pairs)} samples copy an image{': ' * bool(copied)}{', '.join(copied)}."
    )
    unknown = "Whether it copies cannot be measured with one image."
    return f"Chosen: {_place(chosen)}.{kept} {unknown if math.isnan(copies.rate) else found}"


def _place(snapshot: Snapshot) -> str:
    scores = snapshot.scores
    return f"step {snapshot.step} (distance to your images {scores.fidelity:.3g}, variety {scores.diversity:.0%})"


def report_content(work: Adaptation, outcome: Outcome) -> FinetuneReport:
    """Everything ``write_report`` shows."""
    model, chosen, copies, samples = outcome.model, outcome.chosen, outcome.copies, outcome.samples
    kept = {snapshot.step for snapshot in outcome.selector.snapshots}
    curve = [
        CurvePoint(
            step=int(point["step"]),
            fidelity=point["fidelity"],
            diversity=point["diversity"],
            memorization=point["memorization"],
            kept=int(point["step"]) in kept,
            chosen=int(point["step"]) == chosen.step,
        )
        for point in outcome.selector.history
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
        summary=_summary(work, outcome),
    )


def _summary(work: Adaptation, outcome: Outcome) -> dict[str, Any]:
    model, selector, done, copies = outcome.model, outcome.selector, outcome.done, outcome.copies
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
        **run_again(work, outcome.run),
        "input_summary": work.images.report.summary(),
        "proximity": work.proximity,
        "distance": work.distance,
        "steps": done.steps,
        "stopped": done.stopped,
        "chosen_step": outcome.chosen.step,
        "limits": {"min_diversity": limits.min_diversity, "max_memorization": limits.max_memorization},
        "seconds": done.seconds,
        "seconds_predicted": outcome.estimate.seconds,
        "peak_memory_mb": peak_memory(work.machine.device) / 2**20,
        "delta_bytes": model.adapted.describe()["bytes"],
        "memorization": copies.rate,
        "memorization_samples": len(copies.pairs),
        "protocol": f"{work.extractor.name}-{work.extractor.fingerprint[:8]}, {selector.latents.shape[0]} samples a score",
        "warnings": warnings,
        "device": str(work.machine.device),
        "precision": done.precision,
        "seed": work.settings.seed,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lowshotgan": __version__,
        },
        "output_dir": str(outcome.run.path),
    }
