"""What the sections of the page of the translation benchmark are made of."""

from collections.abc import Iterable
from typing import Any

from _machine import describe

CHECK = "| check | found | target | |\n|---|---|---|---|"


def section(title: str, found: dict[str, Any], legend: str, task: str, rows: list[str], checks: list[str]) -> str:
    training = found.get("training") or {}
    about = f"Model `{found['model']}`"
    if training:
        about += (
            f", last stage {training['steps']} steps of {training['batch_size']}, all stages "
            f"{training['seconds'] / 60:.0f} minutes"
        )
    lines = [
        title,
        "",
        f"{about}. Seed {found['seed']}. {describe(found['machine'])}.",
        "",
        *rows,
        "",
        CHECK,
        *checks,
        "",
    ]
    return "\n".join([*lines, f"![{legend}](translation_{task}.png)", "", f"*{legend}*", ""])


def cells(name: str, values: dict[str, float], columns: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(f'{values[key]:.3f}' for key in columns)} |"


def gains(after: dict[str, Any], names: dict[str, str]) -> list[str]:
    """What five exemplars change against one, with intervals; nothing where a run has not measured it."""
    found = after.get("gain", {})
    return [
        f"| (a) {name}, K=5 less K=1, paired bootstrap | {found[key]['mean']:.4f} | 95 %: {found[key]['low']:.4f} to "
        f"{found[key]['high']:.4f} | reported |"
        for key, name in names.items()
        if key in found
    ]


def swaps(after: dict[str, Any]) -> list[str]:
    found = [check("(b) class swap over resampling", after["swap_ratio"], 3)]
    if "crop_ratio" in after:
        ratio = after["crop_ratio"]
        found.append(f"| change by another cut of one exemplar, over class swap | {ratio:.3f} | | reported |")
    return found


def reconstruction(after: dict[str, Any], before: dict[str, Any]) -> str:
    value = ratio(after["reconstruction"], before["reconstruction"])
    return check("(d) reconstruction over that of random weights", value, 0.5, lower=True)


def check(name: str, value: float, target: float, *, lower: bool = False) -> str:
    met = value <= target if lower else value >= target
    shown = f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
    return f"| {name} | {shown} | {'at most' if lower else 'at least'} {target:g} | {'met' if met else 'missed'} |"


def ratio(value: float, to: float) -> float:
    return value / max(to, 1e-8)
