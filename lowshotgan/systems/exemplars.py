"""What a user may mean by exemplars: images of one class, a class code, or several classes by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lowshotgan.errors import ConfigError
from lowshotgan.systems.class_code import ClassCode


def classes_of(exemplars: Any) -> Mapping[str, Any]:
    """Class name -> its images or code.

    Args:
        exemplars: a mapping, which is returned as it is; a list of codes, their files, folders or zips, each of which is
            a class; or anything else, which is one class.

    Raises:
        ConfigError: if there is no class, or a list holds classes and single images.
    """
    if isinstance(exemplars, Mapping):
        classes = exemplars
    elif isinstance(exemplars, list | tuple) and any(_is_class(one) for one in exemplars):
        classes = _by_name(exemplars)
    else:
        classes = {_name_of(exemplars): exemplars}
    if not classes:
        raise ConfigError("exemplars is empty; name at least one class.")
    return {str(name): given for name, given in classes.items()}


def read_code(given: Any) -> ClassCode | None:
    """The code that ``given`` is, or that is in its file; ``None`` for images."""
    if isinstance(given, ClassCode):
        return given
    return ClassCode.load(given) if _ending(given) == ".safetensors" else None


def _by_name(classes: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for given in classes:
        if not _is_class(given):
            raise ConfigError(
                "a list of exemplars holds images of one class, or classes (codes, folders or zips), not both; got "
                f"{given!r} among classes."
            )
        name = _name_of(given)
        found[name if name not in found else f"{name}-{len(found) + 1}"] = given
    return found


def _is_class(given: Any) -> bool:
    """Whether an entry of a list stands for a class, not for one image."""
    if isinstance(given, ClassCode):
        return True
    return _ending(given) in (".safetensors", ".zip") or (isinstance(given, str | Path) and _path(given).is_dir())


def _name_of(given: Any) -> str:
    if isinstance(given, ClassCode):
        return given.name
    if not isinstance(given, str | Path):
        return "class"
    path = _path(given).resolve()
    return path.name if path.is_dir() else path.stem


def _ending(given: Any) -> str:
    return Path(given).suffix.lower() if isinstance(given, str | Path) else ""


def _path(given: str | Path) -> Path:
    return Path(given).expanduser()
