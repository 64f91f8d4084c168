"""The fidelity-diversity curve of a run as inline SVG: no script, colours from the page's variables."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lowshotgan.finetune.selector import Limits
from lowshotgan.train.report_facts import CurvePoint
from lowshotgan.train.report_words import number, percent

WIDTH, HEIGHT = 480, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 46
"""Margins around the plot."""

Box: TypeAlias = tuple[float, float, float, float]
Scale: TypeAlias = Callable[[float], float]


@dataclass(frozen=True)
class Axes:
    """From values to the picture's coordinates, and the values that get a tick."""

    x: Scale
    y: Scale
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]


def curve_chart(points: Sequence[CurvePoint], limits: Limits) -> str:
    """Draw diversity over distance, one mark a snapshot, joined in the order of training.

    Args:
        points: snapshots; those without a finite distance and diversity are left out.
        limits: the least variety is drawn as a dashed line; snapshots with too many copies are crossed.

    Returns:
        An ``<svg>`` element; empty text if there is nothing to draw.
    """
    shown = sorted((p for p in points if math.isfinite(p.fidelity + p.diversity)), key=lambda p: p.step)
    if not shown:
        return ""
    axes = _axes(shown, limits.min_diversity)
    route = " ".join(f"{axes.x(p.fidelity):.1f},{axes.y(p.diversity):.1f}" for p in shown)
    about = f"Variety over distance to your images for {len(shown)} snapshots."
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{about}">',
        *_frame(axes),
        *_rule(axes, limits.min_diversity, "wanted"),
        *_rule(axes, 1.0, "as varied as the base", left=True),
        f'<polyline class="path" points="{route}"/>',
        *(_mark(p, axes, limits.max_memorization) for p in sorted(shown, key=lambda p: (p.chosen, p.kept))),
        *_labels(shown, axes),
        "</svg>",
    ]
    return "\n".join(parts)


def symbol(kind: str) -> str:
    """A mark of the chart as a small picture for its legend."""
    return f'<svg class="symbol" viewBox="0 0 20 20" aria-hidden="true">{_shape(kind, 10, 10)}</svg>'


def _axes(points: Sequence[CurvePoint], min_diversity: float) -> Axes:
    x_low, x_high = _padded([p.fidelity for p in points])
    y_low, y_high = _padded([p.diversity for p in points] + [min_diversity, 1.0])
    return Axes(
        x=lambda v: LEFT + (v - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
        y=lambda v: HEIGHT - BOTTOM - (v - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM),
        x_ticks=ticks(x_low, x_high),
        y_ticks=ticks(y_low, y_high),
    )


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.1 * (high - low) or 0.1 * abs(high) or 0.1
    return low - room, high + room


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round values between ``low`` and ``high``: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _frame(axes: Axes) -> Iterator[str]:
    floor = HEIGHT - BOTTOM
    for value in axes.y_ticks:
        y = axes.y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent(value)}</text>'
    for value in axes.x_ticks:
        x = axes.x(value)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{floor}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{floor + 17}" text-anchor="middle">{number(value)}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text class="axis" x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">← closer to your images</text>'
    height = (TOP + floor) / 2
    turn = f'transform="rotate(-90 12 {height:.0f})"'
    yield f'<text class="axis" x="12" y="{height:.0f}" text-anchor="middle" {turn}>more varied →</text>'


def _rule(axes: Axes, value: float, word: str, *, left: bool = False) -> Iterator[str]:
    y = axes.y(value)
    yield f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    x, anchor = (LEFT + 5, "start") if left else (WIDTH - RIGHT - 5, "end")
    yield f'<text class="note" x="{x}" y="{y - 5:.1f}" text-anchor="{anchor}">{word}</text>'


def _mark(point: CurvePoint, axes: Axes, max_memorization: float) -> str:
    over = point.memorization > max_memorization
    kind = "chosen" if point.chosen else "kept" if point.kept else "seen"
    x, y = axes.x(point.fidelity), axes.y(point.diversity)
    tip = (
        f"step {point.step:,}: distance {number(point.fidelity)}, variety {percent(point.diversity)}, "
        f"copies {percent(point.memorization)}"
    )
    return f"<g><title>{tip}</title>{_shape(kind, x, y)}{_shape('over', x, y) if over else ''}</g>"


def _shape(kind: str, x: float, y: float) -> str:
    if kind == "over":
        return f'<path class="over" d="M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12"/>'
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="8.5"/>' if kind == "chosen" else ""
    radius = 3.5 if kind == "seen" else 4.5
    return f'{ring}<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _labels(points: Sequence[CurvePoint], axes: Axes) -> Iterator[str]:
    """Steps beside the kept snapshots; one without a free place is left out, but never the chosen one."""
    taken = [_around(axes.x(p.fidelity), axes.y(p.diversity), 13, 13) for p in points]
    for point in sorted((p for p in points if p.kept or p.chosen), key=lambda p: (not p.chosen, p.step)):
        word = f"step {point.step:,}, chosen" if point.chosen else f"{point.step:,}"
        x, y, half = axes.x(point.fidelity), axes.y(point.diversity), 3.4 * len(word)
        places = [(x + 12 + half, y), (x - 12 - half, y), (x, y - 17), (x, y + 17)]
        inside = [place for place in places if _inside(_around(*place, 2 * half, 12))]
        free = [p for p in inside if not any(_overlap(_around(*p, 2 * half, 12), box) for box in taken)]
        for place in (free or (inside if point.chosen else []))[:1]:
            taken.append(_around(*place, 2 * half, 12))
            yield _label(word, x, place, "label strong" if point.chosen else "label")


def _label(word: str, x: float, place: tuple[float, float], style: str) -> str:
    """Text that grows away from its mark at ``x``, so that a larger font on small screens does not cover it."""
    side = place[0] - x
    anchor, at = ("start", x + 12) if side > 0 else ("end", x - 12) if side < 0 else ("middle", x)
    return f'<text class="{style}" x="{at:.1f}" y="{place[1] + 4:.1f}" text-anchor="{anchor}">{word}</text>'


def _around(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _inside(box: Box) -> bool:
    return box[0] >= LEFT and box[2] <= WIDTH - RIGHT and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
