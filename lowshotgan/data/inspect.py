"""Look at images before using them: sizes, modes, near duplicates, odd ones out, and what will be done."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from lowshotgan.data.base import Source
from lowshotgan.data.listing import UNREADABLE_ENDINGS
from lowshotgan.data.preprocess import Preprocess
from lowshotgan.data.reading import Facts, read_all
from lowshotgan.data.similarity import near_duplicates, odd_ones_out
from lowshotgan.data.sources import open_source

SHOWN = 5
"""Names listed per line of the summary."""


@dataclass(frozen=True)
class ImageReport:
    """What was found in a set of images and what is done with it.

    Attributes:
        source: where the images come from.
        count: how many there are.
        looked_at: how many were decoded for this report (all, unless the set is huge).
        resolution: side of the prepared images in pixels.
        sizes: ``"640x480"`` (width x height, after EXIF rotation) -> number of images.
        modes: PIL mode -> number of images.
        near_duplicates: pairs of names.
        outliers: (name, reason).
        unreadable: (name, reason); always empty once images were loaded.
        skipped: kind of file passed over -> number.
        actions: what is done to prepare the images, one sentence each.
    """

    source: str
    count: int
    looked_at: int
    resolution: int
    sizes: dict[str, int]
    modes: dict[str, int]
    near_duplicates: list[tuple[str, str]] = field(default_factory=list)
    outliers: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """A few lines for people."""
        sizes = ", ".join(f"{size} ({n})" for size, n in list(self.sizes.items())[:SHOWN])
        more = f" and {len(self.sizes) - SHOWN} more sizes" if len(self.sizes) > SHOWN else ""
        modes = ", ".join(f"{mode} ({n})" for mode, n in self.modes.items())
        images = "1 image" if self.count == 1 else f"{self.count} images"
        lines = [f"{images} from {self.source}: {sizes}{more}; modes {modes}"]
        if self.looked_at < self.count:
            lines.append(f"looked at {self.looked_at} of them; the rest are read when needed")
        lines += self.actions
        if self.skipped:
            lines.append("skipped " + ", ".join(f"{n} x {kind}" for kind, n in self.skipped.items()))
        if lost := sorted(UNREADABLE_ENDINGS & set(self.skipped)):
            lines.append(f"convert {', '.join(lost)} files to PNG or JPEG to have them used")
        if self.near_duplicates:
            lines.append(_listed("near duplicate pairs", [f"{a} = {b}" for a, b in self.near_duplicates]))
        if self.outliers:
            lines.append(_listed("odd ones out", [f"{name} ({reason})" for name, reason in self.outliers]))
        if self.unreadable:
            lines.append(_listed("UNREADABLE", [reason for _, reason in self.unreadable]))
        return "\n  ".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def inspect_images(
    images: Any,
    *,
    resolution: int | None = None,
    fit: str = "crop",
    background: tuple[int, int, int] = (255, 255, 255),
    enlarge: bool = True,
    **source_options: Any,
) -> ImageReport:
    """Report on images without using them; unreadable ones are listed instead of raised.

    Args:
        images: anything ``open_source`` opens.
        resolution: side in pixels they will be prepared to; 64 if left out.
        fit: as in ``Preprocess``; so are ``background`` and ``enlarge``.
        source_options: further arguments of ``open_source``.

    Raises:
        ImageInputError: if there are no images at all.
    """
    preprocess = Preprocess(resolution or 64, fit=fit, background=background, enlarge=enlarge)
    source = open_source(images, **source_options)
    compared = replace(preprocess, resolution=min(preprocess.resolution, 64), width=None)
    facts, pixels, failures = read_all(source, compared)
    return make_report(source, preprocess, facts, pixels, failures)


def make_report(
    source: Source,
    preprocess: Preprocess,
    facts: Sequence[Facts],
    pixels: Tensor,
    failures: Sequence[tuple[str, str]] = (),
) -> ImageReport:
    """Put together what ``read_all`` returned; ``pixels`` belong to ``facts``, in the same order."""
    names = [fact.name for fact in facts]
    return ImageReport(
        source=source.description,
        count=len(source),
        looked_at=len(facts) + len(failures),
        resolution=preprocess.resolution,
        sizes=dict(Counter(f"{fact.width}x{fact.height}" for fact in facts).most_common()),
        modes=dict(Counter(fact.mode for fact in facts).most_common()),
        near_duplicates=[(names[i], names[j]) for i, j in near_duplicates(pixels)],
        outliers=_outliers(names, pixels) + _odd_shapes(facts, preprocess),
        unreadable=list(failures),
        skipped=dict(source.skipped),
        actions=planned_actions(facts, preprocess),
    )


def planned_actions(facts: Sequence[Facts], preprocess: Preprocess) -> list[str]:
    """One sentence for each kind of change that some image needs, with the number of images."""
    size, fit = preprocess.resolution, preprocess.fit
    colour = f"the background {preprocess.background}"
    oblong = sum(fact.width != fact.height for fact in facts)
    kept = [min(fact.width, fact.height) if fit == "crop" else max(fact.width, fact.height) for fact in facts]
    small = sum(side < size for side in kept)
    made_square = "the centre is cut out" if fit == "crop" else f"padded with {colour}"
    counted = [
        (sum(fact.rotated for fact in facts), "rotated as their EXIF data say"),
        (sum(fact.animated for fact in facts), "animated or with several pages: the first frame is used"),
        (sum(fact.deep for fact in facts), "with more than 8 bits per value: scaled to 8 bits"),
        (sum(fact.transparent for fact in facts), f"with transparency: placed on {colour}"),
        (sum(fact.mode not in ("RGB", "RGBA") for fact in facts), "not stored as RGB: converted"),
        (oblong, f"not square: {made_square}"),
        (small, f"smaller than {size} px: " + ("enlarged" if preprocess.enlarge else f"centred on {colour}")),
        (sum(side > size for side in kept), f"reduced to {size} px (Lanczos)"),
    ]
    return [f"{count} {what}" for count, what in counted if count]


def _outliers(names: Sequence[str], pixels: Tensor) -> list[tuple[str, str]]:
    return [(names[index], reason) for index, reason in odd_ones_out(pixels)]


def _odd_shapes(facts: Sequence[Facts], preprocess: Preprocess) -> list[tuple[str, str]]:
    """Images that lose most of themselves by cropping, or have far fewer pixels than needed."""
    found = []
    for fact in facts:
        short, long = sorted((fact.width, fact.height))
        if long > 2 * short:
            found.append((fact.name, f"{long / short:.1f} times as long as wide"))
        elif 4 * short <= preprocess.resolution and preprocess.enlarge:
            found.append((fact.name, f"only {fact.width} x {fact.height} px"))
    return found


def _listed(what: str, entries: list[str]) -> str:
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return f"{len(entries)} {what}: {', '.join(entries[:SHOWN])}{more}"
