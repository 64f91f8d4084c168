"""Modalities as lines of text, ``prefix:anything``, so that a saved model is plain data; and the table of prefixes."""

import re
from collections.abc import Callable, Mapping, Sequence

from lowshotgan.errors import ConfigError
from lowshotgan.systems.syncgan.modalities import ImageModality, Modality, SpectrogramModality, VectorModality

Parse = Callable[[str], Modality | None]

BUILT_IN: Mapping[str, Parse] = {
    "image": ImageModality.parse,
    "logmel": SpectrogramModality.parse,
    "vector": VectorModality.parse,
}
_OWN: dict[str, Parse] = {}


def register_modality(prefix: str, parse: Parse) -> None:
    """Let models have a modality of your own.

    Nothing of it but its ``spec`` is saved with a model, so register it again before such a model is loaded.

    Args:
        prefix: how its ``spec`` begins, before the colon.
        parse: makes the modality from the rest of its ``spec``; ``None`` for a text that it cannot read.

    Raises:
        ConfigError: for a prefix that is no word in lower case, or one of the library's own.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", prefix):
        raise ConfigError(f"the prefix of a modality is a word in lower case such as 'points', got {prefix!r}.")
    if prefix in BUILT_IN:
        raise ConfigError(f"{prefix!r} is a modality of the library; choose another prefix.")
    _OWN[prefix] = parse


def parse_modality(spec: str) -> Modality:
    """The modality of a line of text.

    Raises:
        ConfigError: if it cannot be read, or is of a kind that is not registered.
    """
    prefix, colon, rest = spec.partition(":")
    known = {**BUILT_IN, **_OWN}
    if colon and prefix not in known:
        raise ConfigError(
            f"{spec!r} is a modality of a kind that is not known here ({', '.join(known)} are). If it is your own, call "
            f"register_modality({prefix!r}, ...) of lowshotgan.systems.syncgan.specs first."
        )
    found = known[prefix](rest) if colon else None
    if found is None:
        raise ConfigError(
            f"cannot read the modality {spec!r}; write image:1x32x32, logmel:1x32x32@8000/400/200/512/60-3900 or "
            "vector:10."
        )
    return found


def parse_modalities(lines: Sequence[str]) -> dict[str, Modality]:
    """``name=spec`` lines as a mapping.

    Raises:
        ConfigError: for fewer than two, or a name given twice.
    """
    found: dict[str, Modality] = {}
    for line in lines:
        name, equals, spec = line.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in found or name == "both":
            raise ConfigError(f"a modality is name=spec with a name of its own in lower case, got {line!r}.")
        found[name] = parse_modality(spec)
    if len(found) < 2:
        raise ConfigError(f"syncgan needs at least two modalities, got {list(lines)}.")
    return found


def as_lines(modalities: Mapping[str, Modality | str] | Sequence[str]) -> tuple[str, ...]:
    """``name=spec`` lines of a mapping from name to modality (or its text).

    Raises:
        ConfigError: for a modality that would not be read again as it is.
    """
    if not isinstance(modalities, Mapping):
        return tuple(modalities)
    return tuple(f"{name}={m if isinstance(m, str) else _spec(m)}" for name, m in modalities.items())


def _spec(modality: Modality) -> str:
    """Its line of text, once that is known to mean the same modality."""
    if not isinstance(modality, Modality):
        raise ConfigError(
            f"a modality is a text or has shape, spec, read, read_labelled and decode; got a {type(modality).__name__}."
        )
    spec = modality.spec
    again = parse_modality(spec)
    if type(again) is not type(modality) or again.spec != spec:
        raise ConfigError(
            f"{spec!r}, the spec of a {type(modality).__name__}, is read as {type(again).__name__} {again.spec!r}; "
            "register what reads it."
        )
    return spec
