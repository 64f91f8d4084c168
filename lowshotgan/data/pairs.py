"""Pairs of images: the same content in two domains, from two folders, a list, or images that show both side by side.

The order of the two is always source (what the base model draws), then target (what it is to learn).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lowshotgan.data.base import Source, Subset
from lowshotgan.data.dataset import ImageSet, draw_subset, load_images
from lowshotgan.data.decode import Decoded
from lowshotgan.data.images import from_uint8
from lowshotgan.data.sources import open_source
from lowshotgan.errors import ConfigError, ImageInputError
from lowshotgan.messages import warn

FEW = 5
"""Below so many pairs the variety of the target's appearance cannot be learnt."""
ALIKE = 0.1
"""Mean structural similarity of partners' edges below which they are probably not partners."""
SHOWN = 5
KEYS = ("source", "target", "images")


class PairSet:
    """K targets, their source partners if they are known, and perhaps further source images.

    Args:
        target: the shots.
        source: their partners in the same order, or ``None`` if they have to be found.
        images: further images of the source domain, without partners.
    """

    def __init__(self, target: ImageSet, source: ImageSet | None, images: ImageSet | None = None) -> None:
        self.target, self.source, self.images = target, source, images

    def __len__(self) -> int:
        return len(self.target)

    def __repr__(self) -> str:
        return f"PairSet({len(self)} pairs of {self.target.resolution} px from {self.target.source.description})"

    def describe(self) -> dict[str, Any]:
        """What identifies the pairs, as plain values."""
        parts = {"target": self.target, "source": self.source, "images": self.images}
        return {name: None if part is None else part.describe() for name, part in parts.items()}

    @cached_property
    def rows(self) -> dict[str, Tensor]:
        """``target`` and, if known, ``source``: uint8 ``(K, C, R, R)`` each."""
        found = {"target": self.target.uint8()}
        return found if self.source is None else found | {"source": self.source.uint8()}


def load_pairs(
    pairs: Any,
    *,
    resolution: int,
    fit: str = "crop",
    background: tuple[int, int, int] = (255, 255, 255),
    enlarge: bool = True,
    channels: int = 3,
    k: int | None = None,
    seed: int = 0,
    partners: Callable[[Image.Image], Image.Image] | None = None,
) -> PairSet:
    """Open, match, choose, check and prepare pairs; nothing is written anywhere.

    Args:
        pairs: one of

            * ``(source, target)`` or ``{"source": ..., "target": ...}``: two folders (or zips) whose files have equal
              names apart from the ending, or two lists of equal length. The mapping may also hold ``"images"``, further
              source images, and may lack ``"source"``;
            * a list of pairs ``[(source_image, target_image), ...]`` of paths or PIL images;
            * a folder with sub-folders ``source`` and ``target``;
            * a folder, zip or list of images twice as wide as high: source on the left, target on the right;
            * any other folder, zip or list of images: targets whose partners are not known;
            * a ``PairSet`` of this resolution and these channels, which is returned as it is.
        resolution: side of the prepared images in pixels.
        fit: as for ``load_images``; so are ``background``, ``enlarge`` and ``channels``.
        k: number of pairs to draw at random; all if left out.
        seed: of that draw.
        partners: makes the source partner of a target, as a PIL image of the same size, where none are given.

    Raises:
        ImageInputError: for names or numbers that do not match, partners of different sizes, a pair given twice, no
            pairs, or unreadable images.
        ConfigError: for anything that cannot be pairs, partners that are both given and to be made, or a ``PairSet`` that
            is not what is asked for.
    """
    if isinstance(pairs, PairSet):
        if partners is not None or k is not None:
            raise ConfigError("a PairSet is prepared already; give partners and k to the load_pairs() that makes it.")
        _check_prepared(pairs, resolution, channels)
        return pairs
    source, target, images = _open(pairs)
    if partners is not None:
        if source is not None:
            raise ConfigError("the pairs have source partners already; leave out partners, or pass the targets alone.")
        source = _Made(target, partners)
    indices = draw_subset(len(target), k, seed, where=target.description)
    options: dict[str, Any] = {"resolution": resolution, "fit": fit, "background": background, "enlarge": enlarge}
    options["channels"] = channels
    shots = load_images(Subset(target, indices), **options)
    more = None if images is None else load_images(images, **options)
    if source is None:
        return PairSet(shots, None, more)
    _check_sizes(source, target, indices)
    found = PairSet(shots, load_images(Subset(source, indices), **options), more)
    _check_duplicates(found)
    _warn_of_doubts(found)
    return found


def edge_map(images: Tensor) -> Tensor:
    """Strength of the edges (Sobel) of images ``(B, C, H, W)`` in [-1, 1], as ``(B, 1, H, W)`` in about [0, 1]."""
    grey = images.mean(dim=1, keepdim=True)
    kernel = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]], device=images.device) / 8
    kernels = torch.stack([kernel, kernel.T])[:, None]  # (2, 1, 3, 3)
    slopes = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels.to(grey.dtype))
    return (slopes.square().sum(dim=1, keepdim=True) + 1e-8).sqrt()


def structural_similarity(a: Tensor, b: Tensor, *, window: int = 7) -> Tensor:
    """SSIM (Wang et al., TIP 2004) of ``(B, 1, H, W)`` maps with values in [0, 1], over square windows: ``(B,)``."""
    mean_a, mean_b = (F.avg_pool2d(x, window, 1) for x in (a, b))
    var_a, var_b = (F.avg_pool2d(x * x, window, 1) - m * m for x, m in ((a, mean_a), (b, mean_b)))
    both = F.avg_pool2d(a * b, window, 1) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    values = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return (values / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).flatten(1).mean(dim=1)


class _Half(Source):
    """The left or right half of every image of another source."""

    def __init__(self, whole: Source, side: Literal["left", "right"]) -> None:
        self.whole, self.side = whole, side
        self.description, self.skipped, self.parallel = whole.description, whole.skipped, whole.parallel

    def __len__(self) -> int:
        return len(self.whole)

    def name(self, index: int) -> str:
        return self.whole.name(index)

    def decode(self, index: int) -> Decoded:
        decoded = self.whole.decode(index)
        width, height = decoded.image.size
        left = 0 if self.side == "left" else width // 2
        return replace(decoded, image=decoded.image.crop((left, 0, left + width // 2, height)))


class _Made(Source):
    """What a function makes of every image of another source."""

    parallel = False

    def __init__(self, whole: Source, make: Callable[[Image.Image], Image.Image]) -> None:
        self.whole, self.make = whole, make
        self.description = f"partners made of {whole.description}"

    def __len__(self) -> int:
        return len(self.whole)

    def name(self, index: int) -> str:
        return self.whole.name(index)

    def decode(self, index: int) -> Decoded:
        decoded = self.whole.decode(index)
        made = self.make(decoded.image)
        if not isinstance(made, Image.Image):
            raise ImageInputError(
                f"{self.name(index)}: partners made a {type(made).__name__} of it; it must return a PIL image."
            )
        return replace(decoded, image=made)


def _open(pairs: Any) -> tuple[Source | None, Source, Any]:
    """Source partners, targets and further source images, in one order."""
    if isinstance(pairs, Mapping):
        unknown = sorted(set(pairs) - set(KEYS))
        if unknown or "target" not in pairs:
            raise ConfigError(
                f"pairs as a mapping have the keys {', '.join(KEYS)}, 'target' at least; got {list(pairs)}."
            )
        target = open_source(pairs["target"])
        if pairs.get("source") is None:
            return None, target, pairs.get("images")
        return *_match(open_source(pairs["source"]), target), pairs.get("images")
    if isinstance(pairs, tuple):
        if len(pairs) != 2:
            raise ConfigError(f"pairs as a tuple are (source, target), two collections; got {len(pairs)} entries.")
        return *_match(open_source(pairs[0]), open_source(pairs[1])), None
    if isinstance(pairs, list) and pairs and all(isinstance(entry, tuple | list) for entry in pairs):
        wrong = next((number for number, entry in enumerate(pairs) if len(entry) != 2), None)
        if wrong is not None:
            raise ConfigError(f"entry {wrong} of pairs has {len(pairs[wrong])} images; each is (source, target).")
        return open_source([a for a, _ in pairs]), open_source([b for _, b in pairs]), None
    if isinstance(pairs, str | Path) and all((Path(pairs).expanduser() / name).is_dir() for name in KEYS[:2]):
        folder = Path(pairs).expanduser()
        return *_match(open_source(folder / "source"), open_source(folder / "target")), None
    return *_split(open_source(pairs)), None


def _split(whole: Source) -> tuple[Source | None, Source]:
    """Both halves of images that are twice as wide as high; other images have no partners."""
    sizes = [whole.read(index).size for index in range(len(whole))]
    double = [width == 2 * height for width, height in sizes]
    if not any(double):
        return None, whole
    if not all(double):
        odd = double.index(False)
        raise ImageInputError(
            f"{whole.description}: {sum(double)} of {len(whole)} images are twice as wide as high (a pair side by side), "
            f"but {whole.name(odd)} is {sizes[odd][0]} x {sizes[odd][1]}. Make all of them pairs, or none."
        )
    return _Half(whole, "left"), _Half(whole, "right")


def _match(source: Source, target: Source) -> tuple[Source, Source]:
    """The two collections in one order: by name without ending for files, by position for lists."""
    if _named(source) and _named(target):
        ours, theirs = _by_stem(source), _by_stem(target)
        for side, missing in (
            ("source", sorted(set(theirs) - set(ours))),
            ("target", sorted(set(ours) - set(theirs))),
        ):
            if missing:
                where = source if side == "source" else target
                more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
                raise ImageInputError(
                    f"no {side} partner in {where.description} for {', '.join(missing[:SHOWN])}{more}: partners have "
                    "equal file names apart from the ending. Add them, rename them, or remove what has no partner."
                )
        order = sorted(ours)
        return Subset(source, [ours[stem] for stem in order]), Subset(target, [theirs[stem] for stem in order])
    if len(source) != len(target):
        raise ImageInputError(
            f"{len(source)} source images but {len(target)} target images; every target needs its one partner."
        )
    return source, target


def _named(source: Source) -> bool:
    return source.description.startswith(("folder", "zip"))


def _by_stem(source: Source) -> dict[str, int]:
    stems = [PurePosixPath(source.name(index)).with_suffix("").as_posix() for index in range(len(source))]
    twice = [stem for stem, times in Counter(stems).items() if times > 1]
    if twice:
        raise ImageInputError(
            f"{source.description} holds {twice[0]} more than once, with different endings; keep one of them."
        )
    return {stem: index for index, stem in enumerate(stems)}


def _check_prepared(pairs: PairSet, resolution: int, channels: int) -> None:
    found = pairs.target.preprocess
    if (found.resolution, found.channels) != (resolution, channels):
        raise ConfigError(
            f"the PairSet has images of {found.resolution} px and {found.channels} channels, where {resolution} px and "
            f"{channels} are needed; pass what it was made of, or prepare it so."
        )


def _check_sizes(source: Source, target: Source, indices: Sequence[int]) -> None:
    for index in indices:
        ours, theirs = source.read(index).size, target.read(index).size
        if ours != theirs:
            raise ImageInputError(
                f"partners must have equal sizes, but {source.name(index)} is {ours[0]} x {ours[1]} and "
                f"{target.name(index)} is {theirs[0]} x {theirs[1]}; bring them to one size and position."
            )


def _check_duplicates(pairs: PairSet) -> None:
    assert pairs.source is not None
    seen: dict[bytes, int] = {}
    whole = torch.cat([pairs.rows["source"], pairs.rows["target"]], dim=1)
    for index, one in enumerate(whole):
        former = seen.setdefault(one.numpy().tobytes(), index)
        if former != index:
            names = pairs.target.names
            raise ImageInputError(f"{names[former]} and {names[index]} are the same pair; remove one of them.")


def _warn_of_doubts(pairs: PairSet) -> None:
    if len(pairs) < FEW:
        warn(f"{len(pairs)} pairs cannot show the variety of the target's appearance; use {FEW} or more if you can.")
    edges = [edge_map(from_uint8(pairs.rows[name])) for name in ("source", "target")]
    alike = float(structural_similarity(*edges).mean())
    if alike < ALIKE:
        warn(
            f"the edges of partners hardly agree (similarity {alike:.2f}); check that source and target are in the same "
            "order and position."
        )
