"""Draw the ten faces of examples/ten-shots: portraits printed in three inks, posed like the default base.

    python examples/draw_ten_shots.py         # about 3 s; writes examples/ten-shots/01.png ... 10.png
    python examples/draw_ten_shots.py --style neon --output neon --sheet neon.png

``--style neon`` draws the same faces as glowing lines at night, which are much farther from the base. The drawing is
ours and needs Pillow only. Everything is drawn at eight times the size in a unit square (x to the right, y down) and
reduced, so lines are smooth; there is no randomness. The pictures are dedicated to the public domain (CC0 1.0).
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZE, SCALE = 128, 8
Point = tuple[float, float]
Colour = tuple[int, int, int]

NIGHT = (14, 9, 44)
LIGHTS: dict[str, Colour] = {
    "cyan": (40, 225, 255),
    "magenta": (255, 50, 190),
    "yellow": (255, 214, 60),
    "green": (70, 255, 150),
    "orange": (255, 140, 50),
    "violet": (165, 95, 255),
    "red": (255, 70, 95),
    "blue": (80, 130, 255),
    "lips": (255, 95, 150),
    "eyes": (225, 240, 255),
    "pupils": (225, 240, 255),
}
PAPER, NAVY, CORAL, TEAL, MUSTARD = (246, 236, 214), (27, 38, 88), (232, 84, 92), (38, 140, 132), (242, 178, 62)
INKS: dict[str, Colour] = {
    "magenta": CORAL,
    "red": CORAL,
    "orange": CORAL,
    "lips": CORAL,
    "green": TEAL,
    "violet": TEAL,
    "blue": TEAL,
    "yellow": MUSTARD,
    "cyan": MUSTARD,
    "eyes": (255, 252, 244),
    "pupils": NAVY,
}
PALE, BROWN = (250, 206, 176), (206, 130, 84)

CENTRE, RADIUS = (0.47, 0.54), 0.265
LEFT_EYE, RIGHT_EYE, MOUTH = (0.345, 0.53), (0.53, 0.53), (0.435, 0.69)


@dataclass(frozen=True)
class Face:
    """Hair of a kind and colour, a name of ``LIGHTS``; ``line`` is the outline of the head in neon, its skin in print."""

    hair: str
    hair_colour: str
    line: str
    eyes: str
    mouth: str
    glasses: str = ""
    brows: str = "calm"
    extra: str = ""


TEN = (
    Face("bob", "magenta", "cyan", "round", "smile"),
    Face("mohawk", "green", "magenta", "half", "smirk", brows="angry", extra="earring"),
    Face("curls", "violet", "cyan", "happy", "grin"),
    Face("long", "yellow", "magenta", "round", "small", extra="earring"),
    Face("buns", "red", "yellow", "wink", "open", brows="raised"),
    Face("quiff", "blue", "cyan", "round", "flat"),
    Face("ponytail", "orange", "cyan", "half", "smile", extra="freckles"),
    Face("spikes", "cyan", "violet", "round", "open", glasses="shades"),
    Face("sweep", "cyan", "orange", "round", "smirk", brows="raised", extra="earring"),
    Face("pigtails", "green", "magenta", "round", "surprised"),
)


class Print:
    """A picture of flat inks on paper, every shape with a dark outline."""

    WIDEST = 0.016

    def __init__(self) -> None:
        self.sheet = _flat(PAPER)

    def shape(self, outline: Sequence[Point], ink: str, *, depth: float = 0.25, width: float = 0.022) -> None:
        """Fill a closed shape with an ink; ``depth`` is for neon."""
        self._fill(outline, INKS[ink], width)

    def head(self, outline: Sequence[Point], line: str) -> None:
        self._fill(outline, BROWN if line in ("magenta", "orange", "violet") else PALE, self.WIDEST)

    def stroke(self, path: Sequence[Point], ink: str, *, width: float = 0.022) -> None:
        _line(self.sheet, path, NAVY, min(width, self.WIDEST))

    def picture(self) -> Image.Image:
        """``SIZE`` square RGB."""
        return self.sheet.resize((SIZE, SIZE), Image.Resampling.LANCZOS)

    def _fill(self, outline: Sequence[Point], colour: Colour, width: float) -> None:
        ImageDraw.Draw(self.sheet).polygon(_pixels(outline), fill=colour)
        self.stroke([*outline, outline[0], outline[1]], "", width=width)


class Neon:
    """A dark picture on which shapes hide what is behind them and lines glow.

    ``fill`` holds the flat colours, ``glow`` the coloured lines and ``core`` their bright middle; they are
    added at the end, so a shape must clear the lines it covers.
    """

    def __init__(self) -> None:
        self.fill = _flat(NIGHT)
        self.glow = _flat((0, 0, 0))
        self.core = _flat((0, 0, 0))

    def shape(self, outline: Sequence[Point], ink: str, *, depth: float = 0.25, width: float = 0.022) -> None:
        """Fill a closed shape with the colour at ``depth`` of its brightness and outline it with light."""
        self._hide(outline, _dim(LIGHTS[ink], depth))
        self.stroke([*outline, outline[0], outline[1]], ink, width=width)

    def head(self, outline: Sequence[Point], line: str) -> None:
        self.shape(outline, line, depth=0.2)

    def _hide(self, outline: Sequence[Point], colour: Colour) -> None:
        pixels = _pixels(outline)
        ImageDraw.Draw(self.fill).polygon(pixels, fill=colour)
        for layer in (self.glow, self.core):
            ImageDraw.Draw(layer).polygon(pixels, fill=(0, 0, 0))

    def stroke(self, path: Sequence[Point], ink: str, *, width: float = 0.022) -> None:
        colour = LIGHTS[ink]
        _line(self.glow, path, colour, width)
        _line(self.core, path, _towards_white(colour, 0.55), width * 0.42)

    def picture(self) -> Image.Image:
        """``SIZE`` square RGB: flat colours + wide halo + narrow halo + line + bright middle."""
        picture = self.fill
        for radius, strength in ((0.055, 1.15), (0.02, 0.95), (0.004, 0.9)):
            halo = self.glow.filter(ImageFilter.GaussianBlur(radius * SIZE * SCALE))
            picture = ImageChops.screen(picture, halo.point(lambda value, s=strength: min(255, round(value * s))))
        picture = ImageChops.lighter(picture, self.core.filter(ImageFilter.GaussianBlur(0.002 * SIZE * SCALE)))
        picture = picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        return picture.point(lambda value: value & 0xFE)  # an invisible bit less makes the files a fifth smaller


Canvas = Print | Neon
STYLES: dict[str, type[Print] | type[Neon]] = {"print": Print, "neon": Neon}


def draw(face: Face, style: str = "print") -> Image.Image:
    """One portrait, back to front: hair behind, head, features, hair in front, glasses."""
    canvas = STYLES[style]()
    back, front, strands = HAIR[face.hair]
    for outline in back:
        canvas.shape(outline, face.hair_colour)
    canvas.head(arc((0.735, 0.56), 0.062, 0.075), face.line)
    canvas.stroke(arc((0.742, 0.56), 0.025, 0.035, -120, 120), face.line, width=0.013)
    canvas.head(arc(CENTRE, RADIUS), face.line)
    draw_features(canvas, face)
    for outline in front:
        canvas.shape(outline, face.hair_colour)
    for strand in strands:
        canvas.stroke(strand, face.hair_colour, width=0.013)
    if face.glasses:
        draw_glasses(canvas, face)
    return canvas.picture()


def draw_features(canvas: Canvas, face: Face) -> None:
    for centre in (LEFT_EYE, RIGHT_EYE):
        if face.glasses == "round":
            canvas.shape(arc((centre[0] - 0.008, centre[1] + 0.004), 0.024, 0.03), "pupils", depth=0.95, width=0.006)
            continue
        closed = face.eyes == "happy" or (face.eyes == "wink" and centre == RIGHT_EYE)
        draw_eye(canvas, centre, "happy" if closed else face.eyes)
        draw_brow(canvas, centre, face)
    draw_mouth(canvas, face.mouth)
    x, y = 0.425, 0.61
    canvas.stroke(
        smooth([(x + 0.005, y - 0.03), (x - 0.02, y + 0.005), (x + 0.01, y + 0.012)]), face.line, width=0.013
    )
    if face.extra == "earring":
        canvas.shape(arc((0.752, 0.675), 0.026), "yellow", depth=0.5, width=0.014)
    if face.extra == "freckles":
        for spot in (
            (0.27, 0.635),
            (0.30, 0.66),
            (0.245, 0.665),
            (0.575, 0.635),
            (0.605, 0.66),
            (0.55, 0.665),
        ):
            canvas.shape(arc(spot, 0.005), face.hair_colour, depth=1.0, width=0.008)


def draw_eye(canvas: Canvas, centre: Point, kind: str) -> None:
    x, y = centre
    if kind == "happy":
        canvas.stroke(arc((x, y + 0.025), 0.06, 0.055, 195, 345), "eyes", width=0.02)
        return
    half = kind == "half"
    canvas.shape(
        arc((x, y), 0.062, 0.062, 0, 180) if half else arc((x, y), 0.058, 0.064),
        "eyes",
        depth=0.07,
        width=0.015,
    )
    if half:
        canvas.stroke([(x - 0.066, y), (x + 0.066, y)], "eyes", width=0.022)
    canvas.shape(arc((x - 0.008, y + (0.022 if half else 0.006)), 0.019), "pupils", depth=0.95, width=0.006)


def draw_brow(canvas: Canvas, centre: Point, face: Face) -> None:
    x, y = centre
    inner = 1 if centre == LEFT_EYE else -1
    tilt = {"calm": 0.0, "angry": 0.028, "raised": -0.012}[face.brows]
    lift = {"calm": 0.098, "angry": 0.088, "raised": 0.115}[face.brows]
    path = [(x - 0.055 * inner, y - lift - tilt), (x, y - lift - 0.014), (x + 0.055 * inner, y - lift + tilt)]
    canvas.stroke(smooth(path), face.hair_colour, width=0.019)


def draw_mouth(canvas: Canvas, kind: str) -> None:
    x, y = MOUTH
    if kind == "smile":
        canvas.stroke(arc((x, y - 0.035), 0.085, 0.07, 15, 165), "lips", width=0.02)
    elif kind == "smirk":
        canvas.stroke(
            smooth([(x - 0.07, y + 0.01), (x, y + 0.02), (x + 0.06, y - 0.005), (x + 0.085, y - 0.035)]),
            "lips",
            width=0.02,
        )
    elif kind == "flat":
        canvas.stroke(smooth([(x - 0.065, y + 0.01), (x, y + 0.004), (x + 0.065, y + 0.01)]), "lips", width=0.02)
    elif kind == "small":
        lips = [
            (x - 0.045, y),
            (x - 0.015, y - 0.015),
            (x, y - 0.007),
            (x + 0.015, y - 0.015),
            (x + 0.045, y),
            (x, y + 0.022),
        ]
        canvas.shape(smooth(lips, closed=True), "lips", depth=0.6, width=0.014)
    elif kind == "surprised":
        canvas.shape(arc((x, y + 0.008), 0.036, 0.045), "lips", depth=0.22, width=0.017)
    else:
        jaw = [*arc((x, y - 0.03), 0.088, 0.088, 0, 180), (x - 0.088, y - 0.03)]
        canvas.shape(jaw, "lips", depth=0.3, width=0.018)
        if kind == "grin":
            canvas.stroke([(x - 0.078, y - 0.002), (x + 0.078, y - 0.002)], "eyes", width=0.011)
        else:
            canvas.stroke(arc((x, y + 0.05), 0.045, 0.03, 200, 340), "lips", width=0.013)


def draw_glasses(canvas: Canvas, face: Face) -> None:
    colour = "yellow" if face.glasses == "round" else "magenta"
    for x, y in (LEFT_EYE, RIGHT_EYE):
        if face.glasses == "round":
            canvas.stroke(arc((x, y), 0.088), colour, width=0.016)
        else:
            lens = [
                (x - 0.088, y - 0.055),
                (x + 0.083, y - 0.055),
                (x + 0.07, y + 0.045),
                (x, y + 0.07),
                (x - 0.075, y + 0.045),
            ]
            canvas.shape(lens, colour, depth=0.3, width=0.018)
            canvas.stroke([(x - 0.045, y + 0.02), (x - 0.01, y - 0.028)], "eyes", width=0.01)
    bridge = (LEFT_EYE[0] + 0.085, RIGHT_EYE[0] - 0.085)
    canvas.stroke([(bridge[0], LEFT_EYE[1] - 0.015), (bridge[1], LEFT_EYE[1] - 0.015)], colour, width=0.016)
    canvas.stroke([(RIGHT_EYE[0] + 0.085, 0.515), (0.70, 0.505)], colour, width=0.014)


def arc(centre: Point, width: float, height: float | None = None, start: float = 0, stop: float = 360) -> list[Point]:
    """Points of an ellipse with half-axes ``width`` and ``height``; angles in degrees."""
    height = width if height is None else height
    angles = [math.radians(start + (stop - start) * i / 72) for i in range(73)]
    return [(centre[0] + width * math.cos(a), centre[1] + height * math.sin(a)) for a in angles]


def smooth(points: Sequence[Point], *, closed: bool = False, steps: int = 14) -> list[Point]:
    """Catmull-Rom curve through the points; a point given twice in a row makes a corner."""
    ring = [points[-1], *points, points[0], points[1]] if closed else [points[0], *points, points[-1]]
    curve: list[Point] = []
    for a, b, c, d in zip(ring, ring[1:], ring[2:], ring[3:], strict=False):
        if b != c:
            xs, ys = zip(a, b, c, d, strict=True)
            curve += [(_spline(*xs, i / steps), _spline(*ys, i / steps)) for i in range(steps)]
    return [*curve, points[0] if closed else points[-1]]


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def cloud(centre: Point, width: float, height: float, start: float, stop: float, bumps: int) -> list[Point]:
    """Scalloped part of an ellipse, as the edge of curly hair."""
    edge = []
    for i in range(bumps):
        first, last = (start + (stop - start) * (i + j) / bumps for j in (0, 1))
        for k in range(12):
            turn = k / 12
            angle = math.radians(first + (last - first) * turn)
            swell = 1 + 0.15 * math.sin(math.pi * turn)
            edge.append((centre[0] + width * swell * math.cos(angle), centre[1] + height * swell * math.sin(angle)))
    return edge


def points(text: str) -> list[Point]:
    """Points from ``"20,35 48.5,30*"``, in hundredths; a star marks a sharp corner."""
    found = []
    for word in text.split():
        x, y = (float(value) / 100 for value in word.rstrip("*").split(","))
        found += [(x, y)] * (2 if word.endswith("*") else 1)
    return found


def closed(text: str) -> list[Point]:
    return smooth(points(text), closed=True)


def strand(text: str) -> list[Point]:
    return smooth(points(text))


Outlines = list[list[Point]]
# fmt: off
# name -> (shapes behind the head, shapes in front of it, single strands)
HAIR: dict[str, tuple[Outlines, Outlines, Outlines]] = {
    "bob": (
        [closed("16,83* 15,55 19,33 33,18 50,15.5 68,20 79,36 81,60 83,84* 50,86")],
        [closed("20.5,60* 19,36 33,19 50,16 67,21 77,37 76.5,66* 70,44* 47,43 25.5,44*")],
        [strand("36,27 34,35 34.5,42"), strand("50,24 49,34 50,42"),
         strand("61,27 63.5,35 63.5,42")],
    ),
    "mohawk": (
        [],
        [closed("30,33.5* 24.5,20* 33.5,22.5* 34,6* 44,16* 53,2* 56.5,15.5* 70,8.5* 65.5,22* 74.5,25* "
             "64,34.5* 47,32")],
        [strand("39,28 40,20"), strand("49,27 51,17"), strand("58,28 61,21")],
    ),
    "curls": (
        [],
        [cloud((0.475, 0.40), 0.335, 0.245, 165, 378, 9)
         + strand("77,50 69,47 60,38.5 44,40 30,40 24.5,48 17,49")],
        [arc((0.38, 0.28), 0.05, 0.045, 150, 380), arc((0.54, 0.25), 0.05, 0.045, 160, 390),
         arc((0.65, 0.35), 0.045, 0.04, 170, 400)],
    ),
    "long": (
        [closed("10,93* 17,78 13,62 17.5,40 30,21 48,15 67,19 80,34 83,55 80,70 89,82 86,95* "
             "50,90")],
        [closed("20,64* 18.5,42 30,23 42,18* 39,34 28,45"),
         closed("40,18* 55,16 70,24 78.5,40 76.5,68* 70,47 55,36")],
        [strand("48,22 60,28 70,40"), strand("15,70 19,79 16,88"),
         strand("83,72 84,82 81,89")],
    ),
    "buns": (
        [arc((0.235, 0.215), 0.115, 0.11), arc((0.715, 0.215), 0.115, 0.11)],
        [closed("20.5,56* 20,36 33,22 47.5,19.5 62,22 74.5,36 74.5,56* 66,41 47.5,29* 30,40")],
        [arc((0.235, 0.215), 0.06, 0.055, 190, 400), arc((0.715, 0.215), 0.06, 0.055, 140, 350)],
    ),
    "quiff": (
        [],
        [closed("21.5,52* 19.5,40 23,31 16.5,25* 28,22.5 36,13 53,10.5 70,19 76.5,34 74.5,54* "
             "70,43 64,35 50,37.5 33,33 25,40")],
        [strand("30,27 42,21 58,20"), strand("36,32 50,29 64,29")],
    ),
    "ponytail": (
        [closed("66,22* 77,10 91,14 95.5,33 90,54 93,69* 82,60 81.5,42 74,30")],
        [closed("20.5,58* 19.5,38 30,22 47.5,16.5 65,20 75,34 75.5,52* 69,41 59,32 53,40* 44,33 "
             "36,40.5* 29,37")],
        [strand("87,21 88,36 86.5,50"), strand("42,23 55,22 66,28")],
    ),
    "spikes": (
        [],
        [closed("20.5,56* 13,44* 20,41* 11.5,26* 24.5,27* 24,11* 37.5,19* 45,5* 53.5,17* "
             "68,8* 68.5,21.5* 84,21* 76,33* 86,42* 75.5,55* 69,40* 62,45.5* 56,37* "
             "46.5,45* 42,37* 32,45* 28.5,39*")],
        [],
    ),
    "sweep": (
        [],
        [closed("17,56* 15.5,38 25,21 40,13.5* 56,11.5 72,21 79,38 75.5,58* 69,43 60,31 47,40 "
             "30,45.5")],
        [strand("58,23 45,33 29,38"), strand("46,20 36,27 24,33")],
    ),
    "pigtails": (
        [closed("22,50 13,50 6.5,60 8.5,74 4.5,87* 18.5,82 21.5,68"),
         closed("75,50 85,48 92.5,60 90.5,74 95.5,87* 81,82 77.5,68")],
        [closed("20,56* 19,38 31,21 47.5,17 64,21 75.5,38 75,56* 67.5,39 47.5,35 28,39")],
        [strand("47.5,20 47.5,28 47.5,37"), strand("14,58 12,68 13,77"),
         strand("85,58 87.5,68 86.5,77")],
    ),
}
# fmt: on


def _flat(colour: Colour) -> Image.Image:
    return Image.new("RGB", (SIZE * SCALE, SIZE * SCALE), colour)


def _pixels(points: Sequence[Point]) -> list[Point]:
    return [(x * SIZE * SCALE, y * SIZE * SCALE) for x, y in points]


def _line(layer: Image.Image, path: Sequence[Point], colour: Colour, width: float) -> None:
    thick = max(1, round(width * SIZE * SCALE))
    pen = ImageDraw.Draw(layer)
    pen.line(_pixels(path), fill=colour, width=thick, joint="curve")
    for x, y in _pixels(path):  # round ends and joints
        pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=colour)


def _dim(colour: Colour, share: float) -> Colour:
    """The colour at ``share`` of its brightness, lifted a little towards the night so it is never black."""
    red, green, blue = (min(255, round(a * share + b * 0.6)) for a, b in zip(colour, NIGHT, strict=True))
    return red, green, blue


def _towards_white(colour: Colour, share: float) -> Colour:
    red, green, blue = (round(channel + (255 - channel) * share) for channel in colour)
    return red, green, blue


def contact_sheet(pictures: Sequence[Image.Image], *, columns: int = 5, zoom: int = 2) -> Image.Image:
    side = SIZE * zoom
    sheet = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * side))
    for i, picture in enumerate(pictures):
        sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (i % columns * side, i // columns * side))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "ten-shots", help="folder for the pictures"
    )
    parser.add_argument("--style", choices=STYLES, default="print")
    parser.add_argument("--sheet", type=Path, help="also write all ten in one picture")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    pictures = [draw(face, arguments.style) for face in TEN]
    for number, picture in enumerate(pictures, start=1):
        picture.save(arguments.output / f"{number:02d}.png", optimize=True)
    if arguments.sheet:
        contact_sheet(pictures).save(arguments.sheet)


if __name__ == "__main__":
    main()
