"""The diagrams of the pages are those that docs/draw_diagrams.py draws, and every arrow has two ends."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
_spec = importlib.util.spec_from_file_location("draw_diagrams", DOCS / "draw_diagrams.py")
draw_diagrams = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(draw_diagrams)


@pytest.mark.parametrize("name", draw_diagrams.DIAGRAMS)
def test_the_picture_is_what_the_script_draws(name):
    boxes, edges = draw_diagrams.DIAGRAMS[name]
    assert len({box.name for box in boxes}) == len(boxes)
    assert {end for edge in edges for end in edge} == {box.name for box in boxes if box.kind != "title"}
    assert (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8") == draw_diagrams.draw(boxes, edges)
    assert any(f"images/{name}.svg" in page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
