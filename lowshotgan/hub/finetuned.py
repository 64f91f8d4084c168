"""What ``details`` of a model's ``config.json`` tell of its training, as files and as a card for the hub. Imports no torch.

training, finetuning: steps, batch_size, images, seconds, device
finetuning by a recipe: also recipe, settings, base, chosen_step, preprocessing, measured (``train.facts``)
"""

import json
from collections.abc import Mapping
from typing import Any

from lowshotgan.hub.manifest import load_manifest


def fact_files(details: Mapping[str, Any]) -> dict[str, str]:
    """``training_args.json`` and ``metrics.json`` of a model that a recipe adapted; no file for others."""
    facts = details.get("finetuning", {})
    if "settings" not in facts:
        return {}
    measured = facts.get("measured", [])
    rest = {key: value for key, value in facts.items() if key != "measured"}
    return {"training_args.json": _as_json(rest), "metrics.json": _as_json(measured)}


def card_fields(details: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``Card`` from what ``details`` tell; those they do not tell are left out."""
    facts = details.get("finetuning", {})
    fields = {
        "shots": facts.get("images"),
        "recipe": facts.get("recipe"),
        "base": public_name(facts.get("base", {}).get("name")),
        "history": tuple(_history(details)),
        "preprocessing": {key: value for key, value in facts.get("preprocessing", {}).items() if value is not None},
        "metrics": tuple(facts.get("measured", ())),
    }
    return {name: value for name, value in fields.items() if value}


def public_name(base: object) -> str | None:
    """A base as others find it: published weights or a repository; a folder of this disk says nothing to them."""
    if isinstance(base, str) and base.startswith("hf-hub:"):
        return base.removeprefix("hf-hub:").partition("@")[0]
    return base if isinstance(base, str) and base in load_manifest() else None


def base_facts(name: str | None, digest: str) -> dict[str, Any]:
    """Name, revision where one is known, and digest of the base of a fine-tuning."""
    revision = (name or "").partition("@")[2] or None
    if revision is None and name in load_manifest():
        revision = load_manifest()[name].revision
    return {"name": name, "revision": revision, "sha256": digest}


def _history(details: Mapping[str, Any]) -> list[str]:
    """Sentences on the trainings a model went through, and on its base."""
    lines = []
    for kind, verb in (("training", "Trained"), ("finetuning", "Fine-tuned")):
        facts = details.get(kind, {})
        if "steps" in facts:
            told = [f"{facts['steps']} steps"]
            told += [f"the model of step {facts['chosen_step']} was kept"] if "chosen_step" in facts else []
            told += [words.format(facts[key]) for key, words in _TOLD.items() if key in facts]
            lines.append(f"{verb} for {', '.join(told)}.")
    base = details.get("finetuning", {}).get("base", {})
    if base:
        revision = f"revision `{base['revision']}`, " if base.get("revision") else ""
        lines.append(f"Base weights: {revision}SHA-256 of the generator's tensors `{base['sha256']}`.")
    if "blend" in details:
        lines.append(f"Blended: {details['blend']:g} of the way from the base (0) to the fine-tuned model (1).")
    return lines


_TOLD = {"batch_size": "batch size {}", "seed": "seed {}", "seconds": "{} seconds", "device": "on {}"}


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
