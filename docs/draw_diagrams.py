"""Draw the diagrams of LaDo, GenHo, PFS-GAN and COCO-FUNIT as SVG from the tables below.

    python docs/draw_diagrams.py

Time: a second. Writes docs/images/lado.svg, genho.svg, pfsgan.svg and coco_funit.svg.
"""

import argparse
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
COLUMN, ROW = 128, 52
WIDE, HIGH = 104, 32
FILLS = {"data": "#eef2f7", "trained": "#ffd9a8", "frozen": "#cfe3d4", "code": "#ffffff", "loss": "#f6d5dc"}
LEGEND = {
    "trained": "trained here",
    "frozen": "frozen",
    "data": "images, noise",
    "code": "codes, maps",
    "loss": "loss",
}


class Box(NamedTuple):
    """A box at a column and a row (fractions are allowed)."""

    name: str
    column: float
    row: float
    kind: str
    text: str


Edges = list[tuple[str, str]]

LADO_BOXES = [
    Box("h1", 0, 0, "title", "Stage 1: the source model, from many source images"),
    Box("x", 0, 1, "data", "image x"),
    Box("ec1", 1, 0.6, "trained", "E_c"),
    Box("es", 1, 1.4, "trained", "E_s"),
    Box("c1", 2, 0.6, "code", "content c"),
    Box("a1", 2, 1.4, "code", "appearance a"),
    Box("n1", 2, 2.2, "data", "noise [c; a]"),
    Box("gs", 3, 1, "trained", "G_s"),
    Box("xh", 4, 1, "data", "x, samples"),
    Box("ds", 5, 1, "trained", "D_s"),
    Box("h2", 0, 3.1, "title", "Stage 2: the target model, from the K pairs"),
    Box("xk", 0, 4, "data", "partner x_k"),
    Box("yk", 0, 5.2, "data", "shot y_k"),
    Box("ec2", 1, 4, "frozen", "E_c"),
    Box("et", 1, 5.8, "trained", "E_t"),
    Box("c2", 2, 4, "code", "c, twice"),
    Box("a2", 2, 5.8, "code", "appearance a"),
    Box("gt", 3, 4.9, "trained", "G_t"),
    Box("yh", 4, 4.9, "data", "y_k, twice"),
    Box("v", 5, 4.4, "loss", "V(·, y_k)"),
    Box("dt", 5, 5.4, "trained", "D_t"),
    Box("h3", 0, 6.7, "title", "Afterwards: noise alone; one latent, two domains"),
    Box("z", 0, 7.6, "data", "noise [c; a]"),
    Box("g3", 2, 7.2, "frozen", "G_s"),
    Box("g4", 2, 8, "frozen", "G_t"),
    Box("o3", 4, 7.2, "data", "source image"),
    Box("o4", 4, 8, "data", "its target twin"),
]
LADO_EDGES: Edges = [
    ("x", "ec1"), ("x", "es"), ("ec1", "c1"), ("es", "a1"), ("c1", "gs"), ("a1", "gs"), ("n1", "gs"), ("gs", "xh"),
    ("xh", "ds"), ("xk", "ec2"), ("yk", "ec2"), ("yk", "et"), ("ec2", "c2"), ("et", "a2"), ("c2", "gt"), ("a2", "gt"),
    ("gt", "yh"), ("yh", "v"), ("yh", "dt"), ("z", "g3"), ("z", "g4"), ("g3", "o3"), ("g4", "o4"),
]  # fmt: skip

GENHO_BOXES = [
    Box("h1", 0, 0, "title", "1  Source GAN, from many source images; cut at the L x L maps"),
    Box("z1", 0, 1, "data", "noise z"),
    Box("gc1", 1, 1, "trained", "G_C"),
    Box("m1", 2, 1, "code", "content maps"),
    Box("ga1", 3, 1, "trained", "G_A"),
    Box("x1", 4, 1, "data", "source image"),
    Box("d1", 5, 1, "trained", "D"),
    Box("h2", 0, 1.9, "title", "2  Content encoder: from an image back to the maps of G_C"),
    Box("x2", 0, 2.8, "data", "image x"),
    Box("e2", 1, 2.8, "trained", "E_c"),
    Box("m2", 2, 2.8, "code", "content maps"),
    Box("ga2", 3, 2.8, "frozen", "G_A"),
    Box("v2", 4, 2.8, "loss", "V(·, x)"),
    Box("dc", 3, 3.6, "trained", "D_c: as G_C's?"),
    Box("h3", 0, 4.5, "title", "3  Appearance: redraw the K shots from their encoded content"),
    Box("y3", 0, 5.4, "data", "shot y_k"),
    Box("e3", 1, 5.4, "frozen", "E_c"),
    Box("m3", 2, 5.4, "code", "content maps"),
    Box("ga3", 3, 5.4, "trained", "G_A of target"),
    Box("v3", 4, 5.4, "loss", "V(·, y_k), D'"),
    Box("h4", 0, 6.3, "title", "4  Search, nothing is trained: which noise has the content of the shot?"),
    Box("x4", 0, 7.2, "data", "partner x_k"),
    Box("e4", 1, 7.2, "frozen", "E_c"),
    Box("b4", 0, 8, "data", "10,000 latents"),
    Box("gc4", 1, 8, "frozen", "G_C"),
    Box("n4", 2, 7.6, "loss", "nearest maps"),
    Box("zk", 3, 7.6, "code", "latent z_k"),
    Box("h5", 0, 8.9, "title", "5  Joint tuning: the same shots from noise, which is what is drawn from later"),
    Box("z5", 0, 9.8, "code", "latent z_k"),
    Box("gc5", 1, 9.8, "frozen", "G_C"),
    Box("ga5", 3, 9.8, "trained", "G_A of target"),
    Box("v5", 4, 9.8, "loss", "V(·, y_k), D_t"),
]
GENHO_EDGES: Edges = [
    ("z1", "gc1"), ("gc1", "m1"), ("m1", "ga1"), ("ga1", "x1"), ("x1", "d1"), ("x2", "e2"), ("e2", "m2"), ("m2", "ga2"),
    ("ga2", "v2"), ("m2", "dc"), ("y3", "e3"), ("e3", "m3"), ("m3", "ga3"), ("ga3", "v3"), ("x4", "e4"), ("b4", "gc4"),
    ("e4", "n4"), ("gc4", "n4"), ("n4", "zk"), ("z5", "gc5"), ("gc5", "ga5"), ("ga5", "v5"),
]  # fmt: skip
PFSGAN_BOXES = [
    Box("h1", 0, 0, "title", "Stage 1: the source model, from many source images"),
    Box("x", 0, 1, "data", "image x"),
    Box("ea", 1, 0.6, "trained", "E_a"),
    Box("ec1", 1, 1.4, "trained", "E_c"),
    Box("a1", 2, 0.6, "code", "appearance a"),
    Box("c1", 2, 1.4, "code", "content c"),
    Box("n1", 2, 2.2, "data", "noise [a; c]"),
    Box("gs", 3, 1, "trained", "G_s"),
    Box("xh", 4, 1, "data", "x, samples"),
    Box("ds", 5, 1, "trained", "D_s"),
    Box("h2", 0, 3.1, "title", "Stage 2: the K shots, and new content in their appearance"),
    Box("yk", 0, 4, "data", "shot y_k"),
    Box("xk", 0, 4.8, "data", "partner x_k"),
    Box("xj", 0, 5.6, "data", "further x'"),
    Box("et", 1, 4, "trained", "E_t"),
    Box("ec2", 1, 5.2, "frozen", "E_c"),
    Box("a2", 2, 4, "code", "appearance a"),
    Box("ck", 2, 4.8, "code", "content c_k"),
    Box("cj", 2, 5.6, "code", "content c'"),
    Box("gt", 3, 4.8, "trained", "G_t"),
    Box("yh", 4, 4.4, "data", "y_k, redrawn"),
    Box("yn", 4, 5.2, "data", "new content"),
    Box("v", 5, 4, "loss", "y_k, features"),
    Box("dt", 5, 4.8, "trained", "D: patches"),
    Box("rl", 5, 5.6, "loss", "relations"),
    Box("h3", 0, 6.5, "title", "Its relation network: how far apart are the contents of two images?"),
    Box("s", 0, 7.4, "data", "source image"),
    Box("t", 0, 8.2, "data", "target image"),
    Box("ec3", 1, 7.4, "frozen", "E_c"),
    Box("m", 1, 8.2, "trained", "own first part"),
    Box("me", 2, 8.2, "frozen", "rest of E_c"),
    Box("cs", 3, 7.4, "code", "content"),
    Box("ct", 3, 8.2, "code", "content"),
    Box("d", 4, 7.8, "code", "difference²"),
    Box("l1", 5, 7.4, "loss", "partners: 0"),
    Box("l2", 5, 8.2, "loss", "others: as x, x'"),
    Box("h4", 0, 9.1, "title", "Afterwards: noise alone; one latent, two domains"),
    Box("z", 0, 10, "data", "noise [a; c]"),
    Box("g3", 2, 9.6, "frozen", "G_s"),
    Box("g4", 2, 10.4, "frozen", "G_t"),
    Box("o3", 4, 9.6, "data", "source image"),
    Box("o4", 4, 10.4, "data", "its target twin"),
]
PFSGAN_EDGES: Edges = [
    ("x", "ea"), ("x", "ec1"), ("ea", "a1"), ("ec1", "c1"), ("a1", "gs"), ("c1", "gs"), ("n1", "gs"), ("gs", "xh"),
    ("xh", "ds"), ("yk", "et"), ("et", "a2"), ("xk", "ec2"), ("xj", "ec2"), ("ec2", "ck"), ("ec2", "cj"), ("a2", "gt"),
    ("ck", "gt"), ("cj", "gt"), ("gt", "yh"), ("gt", "yn"), ("yh", "v"), ("yh", "dt"), ("yn", "dt"), ("yn", "rl"),
    ("s", "ec3"), ("ec3", "cs"), ("t", "m"), ("m", "me"), ("me", "ct"), ("cs", "d"), ("ct", "d"), ("d", "l1"), ("d", "l2"),
    ("z", "g3"), ("z", "g4"), ("g3", "o3"), ("g4", "o4"),
]  # fmt: skip

COCO_BOXES = [
    Box("x", 0, 0.8, "data", "content x"),
    Box("ex", 1, 0.8, "trained", "E_x"),
    Box("h", 2, 0, "code", "layout"),
    Box("m", 2, 0.8, "code", "its mean"),
    Box("fc", 3, 0.8, "trained", "f_c"),
    Box("y", 0, 1.8, "data", "K exemplars y"),
    Box("ey", 1, 1.8, "trained", "E_y"),
    Box("c", 2, 1.8, "code", "mean code"),
    Box("b", 2, 2.6, "trained", "constant b"),
    Box("fs", 3, 2.2, "trained", "f_s"),
    Box("f", 4, 1.4, "trained", "f of product"),
    Box("d", 5, 0.6, "trained", "decoder"),
]
COCO_EDGES: Edges = [
    ("x", "ex"), ("ex", "h"), ("ex", "m"), ("m", "fc"), ("y", "ey"), ("ey", "c"), ("c", "fs"), ("b", "fs"),
    ("fc", "f"), ("fs", "f"), ("f", "d"), ("h", "d"),
]  # fmt: skip
DIAGRAMS = {
    "lado": (LADO_BOXES, LADO_EDGES),
    "genho": (GENHO_BOXES, GENHO_EDGES),
    "pfsgan": (PFSGAN_BOXES, PFSGAN_EDGES),
    "coco_funit": (COCO_BOXES, COCO_EDGES),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "images")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name, (boxes, edges) in DIAGRAMS.items():
        (folder / f"{name}.svg").write_text(draw(boxes, edges), encoding="utf-8")
        print(folder / f"{name}.svg")


def draw(boxes: list[Box], edges: Edges) -> str:
    """The diagram as SVG."""
    places = {box.name: box for box in boxes}
    bottom = max(box.row for box in boxes) * ROW + HIGH + 24
    width, height = 6 * COLUMN + 8, bottom + 28
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" font-family="sans-serif" '
        'font-size="13">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{width}" height="{height:g}" fill="#fff"/>',
        *(_arrow(places[start], places[end]) for start, end in edges),
        *(_box(box) for box in boxes),
        *_legend(bottom),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _corner(box: Box) -> tuple[float, float]:
    return 12 + box.column * COLUMN, 12 + box.row * ROW


def _box(box: Box) -> str:
    x, y = _corner(box)
    if box.kind == "title":
        return f'<text x="{x:g}" y="{y + 20:g}" font-weight="bold">{escape(box.text)}</text>'
    radius = 16 if box.kind == "code" else 4
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{WIDE}" height="{HIGH}" rx="{radius}" fill="{FILLS[box.kind]}" '
        f'stroke="#555"/><text x="{x + WIDE / 2:g}" y="{y + 21:g}" text-anchor="middle">{escape(box.text)}</text>'
    )


def _arrow(start: Box, end: Box) -> str:
    (x, y), (u, v) = _corner(start), _corner(end)
    line = f"M{x + WIDE:g} {y + HIGH / 2:g}L{u:g} {v + HIGH / 2:g}"
    return f'<path d="{line}" stroke="#555" fill="none" marker-end="url(#tip)"/>'


def _legend(top: float) -> list[str]:
    parts = []
    for number, (kind, text) in enumerate(LEGEND.items()):
        x = 12 + number * COLUMN
        parts.append(f'<rect x="{x}" y="{top:g}" width="14" height="14" fill="{FILLS[kind]}" stroke="#555"/>')
        parts.append(f'<text x="{x + 20}" y="{top + 12:g}">{text}</text>')
    return parts


if __name__ == "__main__":
    main()
