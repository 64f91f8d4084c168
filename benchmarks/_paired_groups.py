"""Real pairs that show the same thing: kept on one side when some are held out, or a score would reward having seen it."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import torch
from torch import Tensor

from lowshotgan.data.similarity import near_duplicates

LEFT_OUT = {*(f"1f3f{n}" for n in "bcdef"), "2640", "2642", "fe0f", "200d"}
"""Code points of skin tones, of the signs of both genders, and of what joins and styles them."""
NEUTRAL = {
    **dict.fromkeys(("1f468", "1f469"), "1f9d1"),  # man, woman: adult
    **dict.fromkeys(("1f466", "1f467"), "1f9d2"),  # boy, girl: child
    **dict.fromkeys(("1f474", "1f475"), "1f9d3"),  # old man, old woman: older adult
    **dict.fromkeys(("1f934", "1f478"), "1fac5"),  # prince, princess: person with crown
    **dict.fromkeys(("1f385", "1f936"), "1f9d1-1f384"),  # the two of Christmas
    **dict.fromkeys(("1f57a", "1f483"), "1f57a"),  # those who dance
}


def plain_name(name: str) -> str:
    """The name of an emoji's file without skin tone and gender; other names without their ending."""
    stem = PurePosixPath(name).stem.lower()
    points = stem.replace("_", "-").split("-")
    if not all(re.fullmatch(r"(?=.*\d)[0-9a-f]{4,6}", point) for point in points):
        return stem
    return "-".join(NEUTRAL.get(point, point) for point in points if point not in LEFT_OUT) or stem


def same_thing(names: Sequence[str], *domains: Tensor) -> list[int]:
    """A number per pair; pairs share it whose plain names are equal, or whose images nearly are in one of ``domains``.

    Args:
        names: of the pairs.
        domains: their images, ``(N, 3, R, R)`` uint8 each.
    """
    numbers = list(range(len(names)))

    def root(index: int) -> int:
        while numbers[index] != index:
            index = numbers[index]
        return index

    first: dict[str, int] = {}
    alike = [(first.setdefault(plain_name(name), index), index) for index, name in enumerate(names)]
    for a, b in [*alike, *(pair for images in domains for pair in near_duplicates(images))]:
        low, high = sorted((root(a), root(b)))
        numbers[high] = low
    return [root(index) for index in range(len(names))]


def set_apart(groups: Sequence[int], count: int, *, seed: int = 0) -> tuple[list[int], list[int]]:
    """Indices of at least ``count`` pairs, whole groups drawn at random, and of the others."""
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist()
    members: dict[int, list[int]] = {}
    for index in order:
        members.setdefault(groups[index], []).append(index)
    apart: list[int] = []
    rest: list[int] = []
    for together in members.values():
        (apart if len(apart) < count else rest).extend(together)
    return apart, rest
