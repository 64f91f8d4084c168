"""The plain words of a report: the headline, the three readings under it, and what to do when one is bad."""

import math
from dataclasses import dataclass
from typing import Any, TypeGuard

from lowshotgan.train.report_facts import CurvePoint, FinetuneReport


@dataclass(frozen=True)
class Reading:
    """One number with its meaning.

    Attributes:
        name: what is read.
        value: the number as text.
        level: "good", "trouble", or "" where there is no limit to compare with.
        verdict: the level in a word.
        meaning: one line below the number.
    """

    name: str
    value: str
    level: str
    verdict: str
    meaning: str


def headline(report: FinetuneReport) -> str:
    """The report in two sentences."""
    seconds = report.summary.get("seconds")
    time = f" in {duration(seconds)}" if is_number(seconds) else ""
    return f"Adapted from {report.source} to {images(len(report.inputs))}{time}. {copying(report)}"


def copying(report: FinetuneReport) -> str:
    """One sentence on copies of training images."""
    rate, samples = report.memorization, report.summary.get("memorization_samples")
    if not math.isfinite(rate):
        one = len(report.inputs) == 1
        return "Copying cannot be measured with one image." if one else "Copying was not measured."
    if not is_number(samples):
        return f"{percent(rate)} of samples copy a training image."
    copies = round(rate * samples)
    if not copies:
        return f"None of {round(samples):,} samples copies a training image."
    return f"{copies:,} of {round(samples):,} samples {'copies' if copies == 1 else 'copy'} a training image."


def readings(report: FinetuneReport) -> list[Reading]:
    """Closeness, variety and copies of the final model."""
    chosen = report.chosen
    found = [] if chosen is None else [_closeness(report, chosen), _variety(report, chosen)]
    return [*found, _copies(report)]


def _closeness(report: FinetuneReport, chosen: CurvePoint) -> Reading:
    first = min(report.curve, key=lambda point: point.step)
    change = "" if first is chosen else f"{number(first.fidelity)} at step {first.step:,}; "
    return Reading("Distance to your images", number(chosen.fidelity), "", "", f"{change}lower is closer")


def _variety(report: FinetuneReport, chosen: CurvePoint) -> Reading:
    value = chosen.diversity
    if not math.isfinite(value):
        return Reading("Variety", "–", "", "", "not measured")
    wanted = report.limits.min_diversity
    level = "good" if value >= wanted else "trouble"
    meaning = f"of the base's variety; {percent(wanted)} or more is wanted"
    return Reading("Variety", percent(value), level, "varied" if level == "good" else "too alike", meaning)


def _copies(report: FinetuneReport) -> Reading:
    rate, wanted = report.memorization, report.limits.max_memorization
    if not math.isfinite(rate):
        return Reading("Copies", "–", "", "", "not measured")
    level = "good" if rate <= wanted else "trouble"
    verdict = ("few" if rate else "none") if level == "good" else "too many"
    meaning = f"of samples; {percent(wanted)} or fewer is wanted"
    return Reading("Copies", percent(rate), level, verdict, meaning)


def notes(report: FinetuneReport) -> list[str]:
    """The run's warnings, then advice where a reading is bad."""
    found = [str(each) for each in report.summary.get("warnings") or ()]
    levels = {reading.name: reading.level for reading in readings(report)}
    blend = ", or blend back towards the base (model.blend(0.7))" if report.can_blend else ""
    if levels["Copies"] == "trouble":
        advice = f"Stop earlier (fewer steps), add images, use the recipe cdc{blend}."
        found.append(f"Many samples copy a training image. {advice}")
    if levels.get("Variety") == "trouble":
        advice = f"Stop earlier (fewer steps), use the recipe cdc or ewc{blend}."
        found.append(f"Samples are much more alike than those of the base. {advice}")
    if len(report.inputs) == 1:
        found.append("With one image nothing tells its style from its content; three or more make that clear.")
    return found


def limits_of_numbers(report: FinetuneReport) -> list[str]:
    """What holds for every report."""
    return [
        "The snapshot was chosen by the training images and the base alone; no test set was seen.",
        f"The distance is measured against {images(len(report.inputs))} only. Compare it between snapshots of this "
        "run, not with an FID or KID from a paper.",
        "A sample counts as a copy by a measured threshold, not by eye: look at the pairs yourself before you "
        "publish samples made from pictures of others.",
    ]


def images(count: int) -> str:
    return f"your {count:,} images" if count > 1 else "your one image"


def duration(seconds: float) -> str:
    """``252`` -> ``4 min 12 s``; below ten seconds with one decimal."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """Bytes with a decimal unit."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def percent(share: float) -> str:
    """``0.003`` -> ``0.3 %``; a dash if it is not finite."""
    if not math.isfinite(share):
        return "–"
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 or value == round(value) else f"{value:.1f} %"


def number(value: float) -> str:
    """Three digits that count; a dash if it is not finite."""
    return f"{value:.3g}".replace("-", "−", 1) if math.isfinite(value) else "–"


def is_number(value: Any) -> TypeGuard[float]:
    """Whether the value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
