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

from lowshotgan.finetune.selector import MAX_MEMORIZATION, MIN_DIVERSITY
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

_ELSEWHERE = {"source", "images", "input", "warnings", "recipe", "proximity", "memorization", "versions", "model_path"}
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
        *_use(model_path),
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
    if report.summary.get("input"):
        yield f'<p class="lead" style="margin-top:16px">{_lines(report.summary["input"])}</p>'


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
    lead = (
        "Longer training comes closer to your images and loses variety. The model is the closest snapshot that "
        f"keeps {percent(MIN_DIVERSITY)} of the base's variety and copies in at most {percent(MAX_MEMORIZATION)} of "
        "samples; if none does, the one that misses this least."
    )
    yield from _section("moment", "Which moment of training was chosen", lead if report.curve else "")
    if not report.curve:
        yield "<p>No snapshot was scored in this run; the model is its last state.</p>"
        return
    yield '<div class="moment"><div>'
    yield curve_chart(report.curve, min_diversity=MIN_DIVERSITY, max_memorization=MAX_MEMORIZATION)
    yield f'<p class="legend">{_legend(report.curve)}</p></div><div>'
    points = sorted(report.curve, key=lambda point: point.step)
    best = [point for point in points if point.kept or point.chosen]
    yield from _curve_table(best or points)
    if best and len(best) < len(points):
        yield f"<details><summary>All {len(points)} snapshots</summary>"
        yield from _curve_table(points)
        yield "</details>"
    yield "</div></div>"


def _legend(points: Sequence[CurvePoint]) -> str:
    known = [("chosen", "chosen", any(p.chosen for p in points)), ("kept", "kept", any(p.kept for p in points))]
    known += [("seen", "scored", any(not (p.kept or p.chosen) for p in points))]
    known += [("over", "copies too much", any(p.memorization > MAX_MEMORIZATION for p in points))]
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
    recipe = report.summary.get("recipe")
    parts = recipe if isinstance(recipe, Mapping) else {"name": recipe}
    if parts.get("explained"):
        yield f"<p>{_lines(parts['explained'])}</p>"
    yield '<div class="columns"><div><h3>Run</h3>'
    yield from _facts([("recipe", parts.get("name")), *_run_rows(report)])
    yield "</div><div>"
    others = {name: value for name, value in parts.items() if name not in ("name", "explained")}
    if others:
        yield "<h3>Recipe</h3>"
        yield from _facts(flat(others))
    if report.summary.get("versions"):
        yield "<h3>Versions</h3>"
        yield from _facts(flat(report.summary["versions"]))
    yield "</div></div>"
    if report.summary.get("command"):
        yield f"<h3>Run it again</h3><pre>{escape(report.summary['command'])}</pre>"


_FORMATS: dict[str, tuple[str, Callable[[float], str]]] = {
    "k": ("images", lambda v: f"{v:,}"),
    "steps": ("steps", lambda v: f"{v:,}"),
    "seconds": ("time", duration),
    "seconds_predicted": ("time predicted", duration),
    "peak_memory_mb": ("peak memory", lambda v: size(v * 1e6)),
    "delta_bytes": ("size of what changed", size),
}


def _run_rows(report: FinetuneReport) -> Iterator[tuple[str, Any]]:
    yield "base", report.source
    near = report.summary.get("proximity")
    if isinstance(near, Mapping):
        value = f" ({number(near['value'])})" if is_number(near.get("value")) else ""
        yield "images are to the base", f"{near.get('verdict') or 'compared'}{value}"
    elif near is not None:
        yield "images are to the base", near
    for key, value in report.summary.items():
        if key in _FORMATS and is_number(value):
            name, form = _FORMATS[key]
            yield name, form(value)
        elif key not in _ELSEWHERE and key != "command":
            yield from flat({key: value})
    yield from flat({"copy test": {k: v for k, v in report.memorization.items() if k != "rate"}})


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as rows: ``{"a": {"b_c": 1}}`` gives ``("a · b c", 1)``."""
    for key, value in values.items():
        name = prefix + str(key).replace("_", " ")
        if isinstance(value, Mapping):
            yield from flat(value, f"{name} · ")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(each if isinstance(each, str) else json.dumps(each, default=str) for each in value)
        else:
            yield name, value


def _facts(rows: Iterable[tuple[str, Any]]) -> Iterator[str]:
    yield '<table class="facts"><tbody>'
    for name, value in rows:
        if value is not None and value != "":
            shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
            shown = f"{shown:.6g}" if isinstance(shown, float) else shown
            yield f'<tr><th scope="row">{escape(name)}</th><td>{escape(shown)}</td></tr>'
    yield "</tbody></table>"


def _use(model_path: str) -> Iterator[str]:
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
    """What to load: the summary's ``model_path``, else the report's folder."""
    return str(report.summary.get("model_path") or folder)
