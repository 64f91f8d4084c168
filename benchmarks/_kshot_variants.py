"""Attempts at the targets of the K-shot benchmark: a recipe with some of its parts changed, run like a recipe."""

from dataclasses import dataclass, field
from typing import Any

RELATION = "regularizers.relation"


@dataclass(frozen=True)
class Variant:
    """``recipe`` with ``changes`` as ``lowshotgan.finetune`` takes them, made for ``target``."""

    recipe: str
    target: str
    changes: dict[str, Any] = field(default_factory=dict)

    def explain(self) -> str:
        """What differs, in one line."""
        changes = ", ".join(f"{name} = {_plain(value)}" for name, value in self.changes.items())
        return f"`{self.recipe}` with {changes}"


VARIANTS = {
    "cdc_falling": Variant("cdc", "A1", {f"{RELATION}.end": 33.0}),
    "cdc_light": Variant("cdc", "A1", {f"{RELATION}.weight": 100.0}),
    "wedit_fast": Variant("wedit", "A2", {"lr": 0.05}),
    "wedit_styles": Variant("wedit", "A2", {"trainable": ["w_offset", "style_offset"]}),
    "auto_twins": Variant("auto", "A4", {"regularizers": ["relation(weight=100, end=30)", "twins(weight=10)"]}),
    "auto_ewc": Variant("auto", "A4", {"regularizers": ["relation(weight=300, end=100)", "ewc()"]}),
    "auto_ewc_image": Variant(
        "auto",
        "A4",
        {"regularizers": ["relation(weight=300, end=100)", "ewc()"], "latents": "gaussian", "head": "image"},
    ),
}


def _plain(value: Any) -> str:
    return " + ".join(value) if isinstance(value, list) else str(value)
