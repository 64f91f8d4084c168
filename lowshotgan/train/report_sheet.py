"""The contact sheet: the training images, then the same seeds before and after, on one picture."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, features
from torch import Tensor

from lowshotgan.data.images import to_pil
from lowshotgan.train.report_facts import FinetuneReport, clean
from lowshotgan.train.report_words import images

TILE = 128
"""Side of a picture on the sheet in pixels."""
GAP, MARGIN, GUTTER = 8, 36, 88
"""Between pictures, around the sheet, and left of the rows for their labels."""
HEADING, CAPTION, BLOCK = 40, 24, 18
"""Heights of a section's title and of a line of seeds, and room between two rows of pairs or sections."""
INSIDE = 2
"""Between the two pictures of a pair."""
PAPER, INK, QUIET, EDGE = (255, 255, 255), (28, 28, 30), (118, 118, 124), (226, 226, 228)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def contact_sheet(report: FinetuneReport) -> Image.Image:
    """Draw the K images on top and below them, for each seed, the base's picture above the adapted one's."""
    columns = best_columns(len(report.inputs), len(report.seeds))
    small = len(report.inputs) > 2 * columns
    side = TILE // 2 if small else TILE
    per_row = 2 * columns if small else columns
    inputs_height = -(-len(report.inputs) // per_row) * (side + GAP)
    block_height = CAPTION + 2 * TILE + INSIDE + BLOCK
    pairs_height = -(-len(report.seeds) // columns) * block_height - BLOCK
    width = 2 * MARGIN + GUTTER + columns * (TILE + GAP) - GAP
    sheet = Image.new("RGB", (width, 2 * (MARGIN + HEADING) + inputs_height + BLOCK + pairs_height), PAPER)
    pen = _Pen(sheet)
    y = pen.heading(MARGIN, _capital(images(len(report.inputs))), "as the model saw them")
    step = side + (GAP // 2 if small else GAP)
    for index, tile in enumerate(_tiles(report.inputs, side)):
        pen.picture(tile, MARGIN + GUTTER + index % per_row * step, y + index // per_row * (side + GAP))
    y = pen.heading(y + inputs_height + BLOCK, "The same seeds, before and after", f"base: {report.source}")
    _pairs(pen, report, y, columns, block_height)
    return sheet


def _pairs(pen: "_Pen", report: FinetuneReport, top: int, columns: int, block_height: int) -> None:
    base, adapted = _tiles(report.base, TILE), _tiles(report.adapted, TILE)
    for index, seed in enumerate(report.seeds):
        row, column = divmod(index, columns)
        x, y = MARGIN + GUTTER + column * (TILE + GAP), top + row * block_height
        pen.text(x + TILE / 2, y + 8, f"seed {seed}", pen.small, QUIET, anchor="mm")
        y += CAPTION
        pen.picture(base[index], x, y)
        pen.picture(adapted[index], x, y + TILE + INSIDE)
        if column == 0:
            pen.text(MARGIN, y + TILE / 2, "base", pen.body, QUIET, anchor="lm")
            pen.text(MARGIN, y + INSIDE + 3 * TILE / 2, "adapted", pen.body, INK, anchor="lm")


class _Pen:
    """Draws titles and framed pictures; the fonts are those that come with Pillow."""

    def __init__(self, sheet: Image.Image) -> None:
        self.sheet = sheet
        self.draw = ImageDraw.Draw(sheet)
        self.title, self.body, self.small = (_font(points) for points in (22, 17, 13))

    def heading(self, y: int, title: str, remark: str) -> int:
        """Write a section's title and return where its content begins."""
        self.text(MARGIN, y + 14, title, self.title, INK, anchor="lm")
        start = MARGIN + self.title.getlength(title) + 16
        room = self.sheet.width - MARGIN - start
        self.text(start, y + 16, shortened(remark, self.body, room), self.body, QUIET, anchor="lm")
        return y + HEADING

    def text(self, x: float, y: float, text: str, font: Font, colour: tuple[int, int, int], *, anchor: str) -> None:
        if isinstance(font, ImageFont.FreeTypeFont):
            self.draw.text((x, y), clean(text), font=font, fill=colour, anchor=anchor)
        else:  # the bitmap font knows no anchors
            left = x - font.getlength(text) / 2 if anchor[0] == "m" else x
            self.draw.text((left, y - 6), text.encode("ascii", "replace").decode(), font=font, fill=colour)

    def picture(self, tile: Image.Image, x: int, y: int) -> None:
        self.draw.rectangle((x - 1, y - 1, x + tile.width, y + tile.height), outline=EDGE)
        self.sheet.paste(tile, (x, y))


def best_columns(inputs: int, seeds: int) -> int:
    """From 8 to 12 columns, the number that leaves the fewest gaps; fewer if there are fewer pictures."""
    most = max(inputs, seeds)
    if most <= 8:
        return max(most, 4)
    return min(range(8, 13), key=lambda columns: (-inputs % columns + -seeds % columns, columns))


def shortened(text: str, font: Font, room: float) -> str:
    """The text, cut with an ellipsis until it fits ``room`` pixels."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[:-1]
    return text + "..." if text else ""


def _tiles(pictures: Tensor, side: int) -> Sequence[Image.Image]:
    """Whole-number enlargement keeps pixels as they are; everything else is resampled."""
    whole = side % pictures.shape[-1] == 0
    method = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return [each.resize((side, side), method) for each in to_pil(pictures)]


def _font(points: int) -> Font:
    return ImageFont.load_default(points) if features.check("freetype2") else ImageFont.load_default()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
