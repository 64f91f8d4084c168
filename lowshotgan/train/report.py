"""The report of a fine-tuning in its run folder: a page for people, JSON for programs, a contact sheet for both."""

import io
import os
from pathlib import Path

from lowshotgan import __version__
from lowshotgan.hub.files import write_json
from lowshotgan.train.report_facts import CopyPair, CurvePoint, FinetuneReport
from lowshotgan.train.report_html import default_model_path, page
from lowshotgan.train.report_sheet import contact_sheet
from lowshotgan.train.report_words import headline

__all__ = ["CopyPair", "CurvePoint", "FinetuneReport", "write_report"]

PAGE, FACTS, SHEET = "report.html", "report.json", "contact_sheet.png"
FORMAT_VERSION = 1
"""Of ``report.json``."""


def write_report(report: FinetuneReport, folder: Path) -> Path:
    """Write ``report.html``, ``report.json`` and ``contact_sheet.png``, each renamed into place at the end.

    Args:
        report: what to show.
        folder: the run folder; made if missing.

    Returns:
        The path of ``report.html``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"format_version": FORMAT_VERSION, "lowshotgan_version": __version__, "headline": headline(report)}
    write_json(folder / FACTS, {**facts, **report.to_dict()})
    sheet = io.BytesIO()
    contact_sheet(report).save(sheet, "PNG")
    _put(folder / SHEET, sheet.getvalue())
    return _put(folder / PAGE, page(report, default_model_path(report, folder)).encode("utf-8", "replace"))


def _put(path: Path, content: bytes) -> Path:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    os.replace(part, path)
    return path
