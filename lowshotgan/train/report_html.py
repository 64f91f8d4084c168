"""The report page: one HTML file without scripts and without anything fetched from elsewhere.

Every text that comes from outside (file names, warnings, settings) passes through ``escape``.
"""

import html
import json
import math
import shlex
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lowshotgan.finetune.selector import Limits
from lowshotgan.train.report_chart import curve_chart, symbol
from lowshotgan.train.report_facts import CurvePoint, FinetuneReport, clean
from lowshotgan.train.report_pictures import Encoded, encode
from lowshotgan.train.report_style import CSS
from lowshotgan.train.report_words import (
    Reading,
    duration,
    headline,
    images,
    is_number,
    limits_of_numbers,
    notes,
    number,
    percent,
    readings,
    size,
)

SHOWN = 128
"""Side of a picture on a wide screen in CSS pixels."""
MANY = 24
"""More training images than this are shown at half size."""

_ELSEWHERE = {
    *("base", "images", "input_summary", "recipe", "recipe_explained", "settings", "proximity", "distance"),
    *("memorization", "warnings", "versions", "command", "no_command", "output_dir", "limits", "chosen_step"),
    "stopped",
}
"""Keys of the summary that have a place of their own on the page."""


def page(report: FinetuneReport, model_path: str) -> str:
    """The whole page.

    Args:
        report: what to show.
        model_path: the folder or name that ``lowshotgan.load`` takes.
    """
    samples, nearest = ([getattr(pair, name) for pair in report.copies] for name in ("sample", "nearest"))
    none = report.inputs[:0]
    pictures = encode(
        [
            report.inputs,
            report.base,
            report.adapted,
            torch.stack(samples) if samples else none,
            torch.stack(nearest) if nearest else none,
        ]
    )
    body = [
        *_top(report),
        *_inputs(report, pictures),
        *_before_after(report, pictures),
        *_moment(report),
        *_copies(report, pictures),
        *_settings(report),
        *_use(report, model_path),
        *_notes(report, pictures),
    ]
    return _document(f"Fine-tuned from {report.source}", body)


def escape(value: Any) -> str:
    """Text that is safe inside an element and inside a quoted attribute."""
    return html.escape(clean(value), quote=True)


def _document(title: str, body: Iterable[str]) -> str:
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<title>{escape(title)}</title>",
        f"<style>{CSS}</style>",
        "</head>",
        "<body>",
    ]
    return "\n".join([*head, *body, "</body>", "</html>"]) + "\n"


def _top(report: FinetuneReport) -> Iterator[str]:
    yield '<header><p class="kicker">lowshotgan · fine-tuning report</p>'
    yield f"<h1>{escape(headline(report))}</h1>"
    yield '<dl class="readings">'
    yield from (_reading(each) for each in readings(report))
    yield "</dl>"
    count = len(notes(report))
    if count:
        yield f'<p><a href="#notes">{count} {"warning" if count == 1 else "warnings"} to read below.</a></p>'
    yield "</header>"


def _reading(reading: Reading) -> str:
    verdict = f'<span class="verdict {reading.level}">{reading.verdict}</span>' if reading.verdict else ""
    return (
        f'<div class="reading"><dt>{reading.name}</dt><dd><span class="value">{reading.value}</span>{verdict}</dd>'
        f'<dd class="meaning">{reading.meaning}</dd></div>'
    )


def _section(name: str, title: str, lead: str = "") -> Iterator[str]:
    yield f'<h2 id="{name}">{escape(title)}</h2>'
    if lead:
        yield f'<p class="lead">{escape(lead)}</p>'


def _inputs(report: FinetuneReport, pictures: Encoded) -> Iterator[str]:
    origin = report.summary.get("images")
    yield from _section("images", images(len(report.inputs)).capitalize(), f"From {origin}." if origin else "")
    many = len(report.names) > MANY
    yield f'<div class="tiles{" small" if many else ""}{_pixel(pictures)}">'
    for name, uri in zip(report.names, pictures.groups[0], strict=True):
        caption = "" if many else f'<figcaption><span class="name">{escape(name)}</span></figcaption>'
        yield f'<figure title="{escape(name)}">{_img(uri, f"training image {name}")}{caption}</figure>'
    yield "</div>"
    if report.summary.get("input_summary"):
        yield f'<p class="lead" style="margin-top:16px">{_lines(report.summary["input_summary"])}</p>'


def _before_after(report: FinetuneReport, pictures: Encoded) -> Iterator[str]:
    lead = f"Above: what {report.source} draws from a seed. Below: what the adapted model draws from the same one."
    if list(report.seeds) == list(range(report.seeds[0], report.seeds[0] + len(report.seeds))):
        lead += " The seeds are taken in order; none is left out."
    yield from _section("samples", "The same seeds, before and after", lead)
    yield f'<div class="tiles{_pixel(pictures)}">'
    for seed, before, after in zip(report.seeds, pictures.groups[1], pictures.groups[2], strict=True):
        pair = _img(before, f"seed {seed}, before") + _img(after, f"seed {seed}, after")
        yield f"<figure>{pair}<figcaption>seed {escape(seed)}</figcaption></figure>"
    yield "</div>"


def _moment(report: FinetuneReport) -> Iterator[str]:
    limits = report.limits
    lead = (
        "Longer training comes closer to your images and loses variety. The model is the closest snapshot that "
        f"keeps {percent(limits.min_diversity)} of the base's variety and copies in at most "
        f"{percent(limits.max_memorization)} of "
        "samples; if none does, the one that misses this least."
    )
    yield from _section("moment", "Which moment of training was chosen", lead if report.curve else "")
    if not report.curve:
        yield "<p>No snapshot was scored in this run; the model is its last state.</p>"
        return
    yield '<div class="moment"><div>'
    yield curve_chart(report.curve, limits)
    yield f'<p class="legend">{_legend(report.curve, limits)}</p></div><div>'
    points = sorted(report.curve, key=lambda point: point.step)
    best = [point for point in points if point.kept or point.chosen]
    yield from _curve_table(best or points)
    if best and len(best) < len(points):
        yield f"<details><summary>All {len(points)} snapshots</summary>"
        yield from _curve_table(points)
        yield "</details>"
    yield "</div></div>"


def _legend(points: Sequence[CurvePoint], limits: Limits) -> str:
    known = [("chosen", "chosen", any(p.chosen for p in points)), ("kept", "kept", any(p.kept for p in points))]
    known += [("seen", "scored", any(not (p.kept or p.chosen) for p in points))]
    known += [("over", "copies too much", any(p.memorization > limits.max_memorization for p in points))]
    return "".join(f"<span>{symbol(kind)}{word}</span>" for kind, word, present in known if present)


def _curve_table(points: Sequence[CurvePoint]) -> Iterator[str]:
    yield '<div class="wrap"><table class="numbers"><thead><tr>'
    yield "".join(f"<th>{word}</th>" for word in ("step", "distance", "variety", "copies", ""))
    yield "</tr></thead><tbody>"
    for point in points:
        mark = "chosen" if point.chosen else "kept" if point.kept else ""
        values = (number(point.fidelity), percent(point.diversity), percent(point.memorization), mark)
        cells = "".join(f"<td>{value}</td>" for value in (f"{point.step:,}", *values))
        row = '<tr class="final">' if point.chosen else "<tr>"
        yield f"{row}{cells}</tr>"
    yield "</tbody></table></div>"


def _copies(report: FinetuneReport, pictures: Encoded) -> Iterator[str]:
    lead = (
        "The samples that come nearest to a training image (above), and that image (below). The ratio is the distance "
        "between the two, divided by the distance of that image to its own nearest neighbour among your images: "
        "1 is as different as your images are from each other, 0 is the same picture."
    )
    yield from _section("copies", "What it copies", lead if report.copies else "")
    if not report.copies:
        yield "<p>No samples were compared with the training images in this run.</p>"
        return
    yield f'<div class="tiles{_pixel(pictures)}">'
    for pair, sample, nearest in zip(report.copies, pictures.groups[3], pictures.groups[4], strict=True):
        both = _img(sample, f"sample of seed {pair.seed}") + _img(nearest, f"nearest: {pair.nearest_name}")
        verdict = '<span class="copied">a copy</span>' if pair.copied else "no copy"
        lines = (f"{_ratio(pair.ratio)}{verdict}", f"seed {escape(pair.seed)}", escape(pair.nearest_name))
        caption = "".join(f'<span class="name">{line}</span>' for line in lines)
        yield f'<figure title="{escape(pair.nearest_name)}">{both}<figcaption>{caption}</figcaption></figure>'
    yield "</div>"


def _ratio(value: float) -> str:
    return f"{value:.2f} · " if math.isfinite(value) else ""


def _settings(report: FinetuneReport) -> Iterator[str]:
    yield from _section("settings", "Settings, time and versions")
    known = report.summary
    if known.get("recipe_explained"):
        yield f"<p>{_lines(known['recipe_explained'])}</p>"
    yield '<div class="columns"><div><h3>Run</h3>'
    yield from _facts(_run_rows(report))
    yield "</div><div>"
    if known.get("versions"):
        yield "<h3>Versions</h3>"
        yield from _facts(flat(known["versions"]))
    if known.get("settings"):
        yield "<details><summary>All settings of the recipe</summary>"
        yield from _facts(flat(known["settings"]))
        yield "</details>"
    yield "</div></div>"
    if known.get("command"):
        yield f"<h3>Run it again</h3><pre>{escape(known['command'])}</pre>"
    elif known.get("no_command"):
        yield f"<h3>Run it again</h3><p>{escape(known['no_command'])}</p>"


_FORMATS: dict[str, tuple[str, Callable[[float], str]]] = {
    "k": ("images", lambda v: f"{v:,}"),
    "steps": ("steps", lambda v: f"{v:,}"),
    "seconds": ("time", duration),
    "seconds_predicted": ("time predicted", duration),
    "peak_memory_mb": ("peak memory", lambda v: size(v * 2**20)),
    "memorization_samples": ("samples compared with your images", lambda v: f"{v:,}"),
    "delta_bytes": ("size of what changed", size),
}


def _run_rows(report: FinetuneReport) -> Iterator[tuple[str, Any]]:
    known = report.summary
    yield "recipe", known.get("recipe")
    yield "base", report.source
    value = f"({number(known['proximity'])})" if is_number(known.get("proximity")) else ""
    yield "ended by", known.get("stopped")
    yield "images are to the base", f"{known.get('distance') or ''} {value}".strip()
    for key, value in known.items():
        if key in _FORMATS and is_number(value):
            name, form = _FORMATS[key]
            yield name, form(value)
        elif key not in _ELSEWHERE:
            yield from flat({key: value})


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as rows: ``{"a": {"b_c": 1}}`` gives ``("a · b c", 1)``; a recipe's part is one row."""
    for key, value in values.items():
        name = prefix + str(key).replace("_", " ")
        if isinstance(value, Mapping) and "kind" not in value:
            yield from flat(value, f"{name} · ")
        else:
            yield name, _short(value)


def _short(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ", ".join(str(_short(each)) for each in value)
    if isinstance(value, Mapping):
        settings = {key: each for key, each in value.items() if key != "kind" and each is not None}
        inside = ", ".join(f"{key}={_short(each)}" for key, each in settings.items())
        return str(value.get("kind", "")) + (f"({inside})" if inside else "")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else value


def _facts(rows: Iterable[tuple[str, Any]]) -> Iterator[str]:
    yield '<table class="facts"><tbody>'
    for name, value in rows:
        if value is not None and value != "":
            yield f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
    yield "</tbody></table>"


def _use(report: FinetuneReport, model_path: str) -> Iterator[str]:
    yield from _section("use", "How to use the model")
    path = json.dumps(clean(model_path), ensure_ascii=False)
    python = f"""
        import lowshotgan as lsg
        model = lsg.load({path})
        model.generate(16, truncation=0.8).grid().save("samples.png")
    """
    console = f"lowshotgan generate {shlex.quote(clean(model_path))} --seeds 0-63 --truncation 0.8 --grid samples.png"
    yield f"<pre>{escape(textwrap.dedent(python).strip())}</pre>"
    yield f"<pre>{escape(console)}</pre>"
    if report.can_blend:
        yield "<p><code>model.blend(0.7)</code> is 70 % of the way from the base to the adapted model.</p>"


def _notes(report: FinetuneReport, pictures: Encoded) -> Iterator[str]:
    yield from _section("notes", "Honest notes")
    yield from (f'<p class="warning">{_lines(note)}</p>' for note in notes(report))
    found = limits_of_numbers(report)
    if pictures.side < report.resolution or pictures.palette:
        colours = " with 256 colours each" if pictures.palette else ""
        found.append(
            f"Pictures on this page are {pictures.side} pixels wide{colours}, so that it stays small; the model draws "
            f"{report.resolution}."
        )
    yield "<ul>" + "".join(f"<li>{escape(each)}</li>" for each in found) + "</ul>"


def _img(uri: str, about: str) -> str:
    return f'<img src="{uri}" alt="{escape(about)}" loading="lazy">'


def _pixel(pictures: Encoded) -> str:
    return " pixel" if pictures.side < SHOWN else ""


def _lines(value: Any) -> str:
    lines = value if isinstance(value, list | tuple) else str(value).splitlines()
    return "<br>".join(escape(line) for line in lines)


def default_model_path(report: FinetuneReport, folder: Path) -> str:
    """What to load: the summary's ``output_dir``, else the report's folder."""
    return str(report.summary.get("output_dir") or folder)
