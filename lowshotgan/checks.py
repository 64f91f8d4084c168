"""Argument checks shared by every layer; each raises an error that says what to do next."""

import difflib
import inspect
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from lowshotgan.errors import ConfigError


def one_of(name: str, value: str, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``, else raise ``ConfigError`` naming the closest one."""
    known = sorted(choices)
    if value in known:
        return value
    raise ConfigError(f"{name} must be one of {', '.join(known)}; got {value!r}.{did_you_mean(value, known)}")


def did_you_mean(name: object, known: Iterable[str], *, n: int = 1) -> str:
    """A sentence to append to a message: the ``n`` of ``known`` nearest to ``name``, or nothing if none is near."""
    close = difflib.get_close_matches(str(name), list(known), n=n)
    return f" Did you mean {', '.join(map(repr, close))}?" if close else ""


def positive(name: str, value: float) -> float:
    """Return ``value`` if it is a finite number above zero, else raise ``ConfigError``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{name} must be a number above 0, got {value!r}.")
    return value


def whole(name: str, value: int, low: int = 1) -> int:
    """``value`` as ``int`` if it is a whole number (NumPy's too) of at least ``low``, else raise ``ConfigError``."""
    number = as_whole(value)
    if number is None or number < low:
        raise ConfigError(f"{name} must be a whole number of at least {low}, got {value!r}.")
    return number


def as_whole(value: Any) -> int | None:
    """``value`` as ``int`` if it is a whole number, NumPy's included; ``None`` for anything else, booleans too."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def within(name: str, value: float, low: float, high: float) -> float:
    """Return ``value`` if it is a number in ``[low, high]``, else raise ``ConfigError``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}.")
    return value


def not_negative(settings: object, *names: str) -> None:
    """Raise ``ConfigError`` if one of these attributes of ``settings`` is below zero."""
    for name in names:
        if getattr(settings, name) < 0:
            raise ConfigError(f"{name} must be 0 or more, got {getattr(settings, name)!r}.")


def power_of_two(name: str, value: int, low: int = 4, high: int = 1024) -> int:
    """Return ``value`` if it is a power of two in ``[low, high]``, else raise ``ConfigError``."""
    if isinstance(value, bool) or not isinstance(value, int) or value & (value - 1) or not low <= value <= high:
        raise ConfigError(f"{name} must be a power of two from {low} to {high}, got {value!r}.")
    return value


def parse_seeds(seeds: int | str | Iterable[int] | None, n: int | None = None) -> list[int]:
    """Turn ``7``, ``range(4)``, ``[0, 5]`` or ``"0,5,10-19"`` into a list of seeds in [0, 2**63).

    With ``seeds=None`` the first ``n`` (default 1) seeds are used; with both, their counts must agree.
    """
    if n is not None:
        whole("n", n)
    if seeds is None:
        return list(range(n or 1))
    if isinstance(seeds, str):
        found = _seeds_from_text(seeds)
    elif isinstance(seeds, Iterable):
        found = [_as_seed(seed) for seed in seeds]
    else:
        first = _as_seed(seeds)
        found = list(range(first, first + (n or 1)))
    if not found:
        raise ConfigError("seeds is empty; pass for example seeds=range(16) or leave it out and pass n.")
    outside = [seed for seed in found if not 0 <= seed < 2**63]
    if outside:
        raise ConfigError(f"seeds must be from 0 to 2**63 - 1, got {outside[0]}.")
    if n is not None and len(found) != n:
        raise ConfigError(f"n={n} but {len(found)} seeds were given; leave one of them out.")
    return found


def _as_seed(seed: Any) -> int:
    number = as_whole(seed)
    if number is None:
        raise ConfigError(f"seeds must be whole numbers, got {seed!r}; for example seeds=7 or seeds=[0, 5].")
    return number


def _seeds_from_text(text: str) -> list[int]:
    found: list[int] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise ConfigError(f"seeds must look like 0,5,10-19; cannot read {part!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= 1_000_000:
            raise ConfigError(f"the seed range {part!r} must rise and hold at most 1,000,000 seeds.")
        found += range(first, last + 1)
    return found


def parse_duration(text: str | float | None) -> float | None:
    """Seconds in ``"90s"``, ``"9m"``, ``"1h30m"`` or a plain number of seconds; ``None`` stays ``None``."""
    if text is None:
        return None
    if not isinstance(text, str):
        number = as_whole(text)
        return float(positive("budget", text if number is None else number))
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    if match is None or not any(match.groups()):
        raise ConfigError(f"budget must look like 90s, 9m or 1h30m; got {text!r}.")
    hours, minutes, seconds = (float(group or 0) for group in match.groups())
    return float(positive("budget", hours * 3600 + minutes * 60 + seconds))


def with_preset(kind: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace ``preset="name"`` among ``options`` by the values ``kind.PRESETS`` has for it; given values win.

    Raises:
        ConfigError: for a preset that ``kind`` does not have.
    """
    presets: Mapping[str, Mapping[str, Any]] = getattr(kind, "PRESETS", {})
    if "preset" not in options or not presets:
        return dict(options)
    name = one_of("preset", options["preset"], presets)
    return {**presets[name], **{key: value for key, value in options.items() if key != "preset"}}


def check_types(kind: type[Any], values: Mapping[str, Any], *, error: type[ConfigError] = ConfigError) -> None:
    """Raise ``error`` for a value that does not fit the annotation of its field in the dataclass ``kind``.

    A whole number is a number, ``True`` is none, infinity and NaN are none, and a list will do for a tuple.
    """
    hints = get_type_hints(kind)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise error(f"{name} must be {_in_words(hints[name])}, got {value!r}.")


def _fits(value: Any, hint: Any) -> bool:
    inside = get_args(hint)
    if isinstance(hint, UnionType):
        return any(_fits(value, one) for one in inside)
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple | list):
            return False
        wanted = inside[:1] * len(value) if inside[1:] == (...,) else inside
        return len(value) == len(wanted) and all(map(_fits, value, wanted))
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float) and math.isfinite(value) if hint is float else isinstance(value, hint)


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", NoneType: "None"}


def _in_words(hint: Any) -> str:
    inside = get_args(hint)
    if isinstance(hint, UnionType):
        return " or ".join(map(_in_words, inside))
    if get_origin(hint) is tuple:
        return f"a list, each entry {_in_words(inside[0])}" if inside[1:] == (...,) else f"a list of {len(inside)}"
    return _WORDS.get(hint) or str(hint.__name__)


def given(**values: Any) -> dict[str, Any]:
    """The values that are not ``None``: what was left out keeps the default of the function that gets the rest."""
    return {name: value for name, value in values.items() if value is not None}


def keywords(*functions: Callable[..., Any]) -> frozenset[str]:
    """Names of all keyword-only arguments of ``functions``."""
    found = (parameter for function in functions for parameter in inspect.signature(function).parameters.values())
    return frozenset(parameter.name for parameter in found if parameter.kind is parameter.KEYWORD_ONLY)


def known_options(what: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Raise ``ConfigError`` for the first of ``options`` that is not ``known``, naming the closest one that is."""
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"{what}: no option {name!r}; known are {', '.join(sorted(known))}.{hint}")


def same_keys(what: str, expected: Sequence[str], found: Sequence[str]) -> str | None:
    """Describe how two sets of names differ (with counts and the first few names), or ``None`` if they do not."""
    missing, unexpected = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if not missing and not unexpected:
        return None
    return (
        f"{what}: {len(missing)} missing ({', '.join(missing[:3]) or 'none'}), "
        f"{len(unexpected)} unexpected ({', '.join(unexpected[:3]) or 'none'})"
    )
