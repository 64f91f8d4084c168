"""What a model remembers of its fine-tuning by a recipe: the part ``finetuning`` of its ``details``."""

import math
from typing import Any

from lowshotgan.finetune.selector import Selector, Snapshot
from lowshotgan.hub.finetuned import base_facts
from lowshotgan.metrics.memorization import Memorization
from lowshotgan.train.adaptation import Adaptation
from lowshotgan.train.loop import FitResult


def finetuning_facts(
    work: Adaptation, selector: Selector, chosen: Snapshot, copies: Memorization, done: FitResult
) -> dict[str, Any]:
    """Recipe, images, steps, base, preparation of the images and what was measured on them, as plain values."""
    base = work.base
    return {
        "recipe": work.recipe.name,
        "settings": work.recipe.to_dict(),
        "images": work.k,
        "steps": done.steps,
        "chosen_step": chosen.step,
        "batch_size": work.recipe.batch,
        "seed": work.settings.seed,
        "seconds": round(done.seconds),
        "device": work.machine.device.type,
        "proximity": work.proximity,
        "base": base_facts(base.source_name, base.digest),
        "preprocessing": work.images.preprocess.to_dict(),
        "measured": _measured(work, selector, chosen, copies),
    }


def _measured(work: Adaptation, selector: Selector, chosen: Snapshot, copies: Memorization) -> list[dict[str, Any]]:
    """Scores of the kept model on its own training images; a card says so, because they flatter."""
    extractor, scores = work.extractor, chosen.scores
    own = f"its own training images (K = {work.k})"
    rows = [
        (extractor.kernel_name, scores.fidelity, len(selector.latents), own),
        (f"diversity-{extractor.name}", scores.diversity, len(selector.latents), "the base, which has 1"),
        (f"memorised-{extractor.name}", copies.rate, len(copies.pairs), own),
    ]
    protocol = f"{extractor.name}-{extractor.fingerprint[:8]}/selection"
    return [
        {"name": name, "value": round(value, 5), "n": n, "reference": reference, "protocol": protocol}
        for name, value, n, reference in rows
        if math.isfinite(value)
    ]
