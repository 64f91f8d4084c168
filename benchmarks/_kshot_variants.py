"""Attempts at the targets of the K-shot benchmark: a recipe with some of its parts changed, run like a recipe."""

from dataclasses import dataclass, field
from typing import Any

RELATION = "regularizers.relation"
HELD = "relation(weight=300, end=100)"
"""Of ``auto`` for near targets."""
LIGHT = "relation(weight=100, end=30)"
"""Of ``auto`` for far targets."""


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
    "auto_twins": Variant("auto", "A4", {"regularizers": [LIGHT, "twins(weight=10)"]}),
    "auto_twins_ewc": Variant("auto", "A4", {"regularizers": [LIGHT, "twins(weight=10)", "ewc()"]}),
    "auto_ewc": Variant("auto", "A4", {"regularizers": [HELD, "ewc()"]}),
    "auto_ewc_weak": Variant("auto", "A4", {"regularizers": [HELD, "contrast(weight=0.5)", "ewc(weight=0.1)"]}),
    "auto_ewc_light": Variant("auto", "A4", {"regularizers": ["relation(weight=100, end=10)", "ewc()"]}),
    "auto_ewc_image": Variant("auto", "A4", {"regularizers": [HELD, "ewc()"], "latents": "gaussian", "head": "image"}),
}


def _plain(value: Any) -> str:
    return " + ".join(value) if isinstance(value, list) else str(value)
