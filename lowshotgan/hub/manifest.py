"""The list of published weights, ``weights/manifest.json``: where they are, what they are, what they may be
used for.

One entry is one name ``<arch>.<tag>``. Neither this file nor anything it imports needs torch, so lists and
help are quick. ``recipes/publish.py`` writes the entries.
"""

import fnmatch
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lowshotgan.checks import did_you_mean
from lowshotgan.errors import ConfigError, WeightsFormatError, WeightsNotFoundError
from lowshotgan.hub.files import MODEL, check_format_version, plain_name, read_json

MANIFEST = "manifest.json"

PERMISSIVE = frozenset(
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC-BY-2.0",
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC0-1.0",
        "ISC",
        "MIT",
        "Unlicense",
    }
)
"""SPDX names of licences that allow use, change and redistribution with no more than attribution."""


@dataclass(frozen=True)
class WeightsFile:
    """Size in bytes and SHA-256 (64 hexadecimal digits) of one file of an entry."""

    size: int
    sha256: str

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 0:
            raise ConfigError(f"size must be a number of bytes, got {self.size!r}.")
        if not isinstance(self.sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ConfigError(f"sha256 must be 64 lower-case hexadecimal digits, got {self.sha256!r}.")


@dataclass(frozen=True)
class Licenses:
    """SPDX names: of the code, of the weights, and of everything they were trained on."""

    code: str
    weights: str
    data: tuple[str, ...]

    @property
    def permissive(self) -> bool:
        """Whether weights and data allow use, change and redistribution with no more than attribution."""
        return {self.weights, *self.data} <= PERMISSIVE


@dataclass(frozen=True)
class WeightsEntry:
    """Published weights.

    Attributes:
        name: ``<arch>.<tag>``.
        system: key of the systems table; ``features`` for the frozen feature network.
        files: by file name; ``config.json`` and ``model.safetensors`` are always there.
        licenses: of code, weights and data.
        summary: one sentence.
        default: whether the bare architecture name means these weights.
        repo_id: ``owner/name`` on the Hugging Face hub, ``None`` if they are not published there.
        revision: the commit (40 hexadecimal digits) that holds exactly these files.
        base: the weights they were fine-tuned from.
        recipe: the committed file that trained them.
        data: provenance: name, author, url, licence and number of images of each source.
        preprocessing: how training images were made (size, fit, background).
        metrics: measured values, each with its protocol.
        fingerprint: ``image_fingerprint`` of the image of seed 0, to compare on other machines within 2
            levels.
    """

    name: str
    system: str
    files: Mapping[str, WeightsFile]
    licenses: Licenses
    summary: str = ""
    default: bool = False
    repo_id: str | None = None
    revision: str | None = None
    base: str | None = None
    recipe: str | None = None
    data: tuple[Mapping[str, Any], ...] = ()
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[Mapping[str, Any], ...] = ()
    fingerprint: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", self.name):
            raise ConfigError(f"a weights name is <arch>.<tag> in lower case, got {self.name!r}.")
        for file in self.files:
            plain_name(file)
        if MODEL not in self.files:
            raise ConfigError(f"{self.name} lists no {MODEL}.")
        if self.repo_id is not None and not re.fullmatch(r"[0-9a-f]{40}", self.revision or ""):
            raise ConfigError(f"{self.name}: revision must be a full commit hash, got {self.revision!r}.")

    @property
    def arch(self) -> str:
        return self.name.partition(".")[0]

    @property
    def tag(self) -> str:
        return self.name.partition(".")[2]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files.values())

    @property
    def permissive(self) -> bool:
        return self.licenses.permissive

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON as the manifest stores it: without the name (its key) and without empty fields."""
        plain = asdict(self)
        del plain["name"]
        return {key: value for key, value in plain.items() if value not in (None, "", (), {}, False)}

    @classmethod
    def from_dict(cls, name: str, plain: Mapping[str, Any]) -> "WeightsEntry":
        """The entry ``to_dict`` described.

        Raises:
            ConfigError: if a field is missing, unknown or unusable.
        """
        try:
            files = {file: WeightsFile(**about) for file, about in plain["files"].items()}
            given = plain["licenses"]
            licenses = Licenses(code=given["code"], weights=given["weights"], data=tuple(given["data"]))
            rest = {key: value for key, value in plain.items() if key not in ("files", "licenses")}
            for key in ("data", "metrics", "fingerprint"):
                rest[key] = tuple(rest.get(key, ()))
            return cls(name=name, files=files, licenses=licenses, **rest)
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"the entry {name!r} is incomplete or has an unknown field ({error}).") from error


def weights_folders() -> list[Path]:
    """Folders of this installation for weights: inside the package (wheel), beside it (checkout)."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    found = [package / "weights"]
    if (checkout / "hubconf.py").is_file():  # a checkout or a torch.hub archive, not site-packages
        found.append(checkout / "weights")
    return found


def load_manifest(path: str | Path | None = None) -> dict[str, WeightsEntry]:
    """Every published entry by name.

    Args:
        path: a manifest file; by default the one of this installation. An installation without one has no
            entries.

    Raises:
        WeightsFormatError: if the file is damaged, of a newer format, or an entry is unusable.
    """
    if path is not None:
        return dict(_read_manifest(Path(path)))
    for folder in weights_folders():
        if (folder / MANIFEST).is_file():
            file = folder / MANIFEST
            return dict(_read_once(file, file.stat().st_mtime_ns))
    return {}


def get_entry(name: str, *, manifest: Mapping[str, WeightsEntry] | None = None) -> WeightsEntry:
    """The entry called ``<arch>.<tag>``, or the default one of an architecture.

    Raises:
        WeightsNotFoundError: if there is none; the message names the closest.
    """
    known = load_manifest() if manifest is None else manifest
    if name in known:
        return known[name]
    of_arch = [entry for entry in known.values() if entry.arch == name]
    chosen = [entry for entry in of_arch if entry.default] or of_arch
    if len(chosen) == 1:
        return chosen[0]
    raise WeightsNotFoundError(
        f"no published weights are called {name!r}.{did_you_mean(name, known, n=3)} "
        f"`lowshotgan list --pretrained` names all. For your own, write 'local-dir:PATH' or 'hf-hub:owner/name'."
    )


def find_entries(
    pattern: str = "*",
    *,
    license: str | None = None,
    manifest: Mapping[str, WeightsEntry] | None = None,
) -> list[WeightsEntry]:
    """Entries whose name matches a shell pattern, sorted by name.

    Args:
        pattern: for example ``stylegan2_*``; matched against the name and the architecture.
        license: an SPDX name for the weights' licence, or ``"permissive"`` for weights and data that ask for
            no more than attribution.
        manifest: entries to search; by default those of this installation.
    """
    known = load_manifest() if manifest is None else manifest
    return sorted(
        (entry for entry in known.values() if _matches(entry, pattern) and _allowed(entry, license)),
        key=lambda entry: entry.name,
    )


def dump_manifest(entries: Iterable[WeightsEntry]) -> dict[str, Any]:
    """The JSON object of a manifest file, entries sorted by name."""
    ordered = sorted(entries, key=lambda entry: entry.name)
    return {"format_version": 1, "weights": {entry.name: entry.to_dict() for entry in ordered}}


def _matches(entry: WeightsEntry, pattern: str) -> bool:
    return fnmatch.fnmatchcase(entry.name, pattern) or fnmatch.fnmatchcase(entry.arch, pattern)


def _allowed(entry: WeightsEntry, license: str | None) -> bool:
    if license is None:
        return True
    return entry.permissive if license == "permissive" else entry.licenses.weights == license


@functools.lru_cache(maxsize=4)
def _read_once(path: Path, _changed: int) -> Mapping[str, WeightsEntry]:
    return _read_manifest(path)


def _read_manifest(path: Path) -> Mapping[str, WeightsEntry]:
    content = read_json(path)
    check_format_version(content, path)
    listed = content.get("weights")
    if not isinstance(listed, dict):
        raise WeightsFormatError(f"{path}: 'weights' must be an object of entries; reinstall lowshotgan.")
    try:
        return {name: WeightsEntry.from_dict(name, plain) for name, plain in listed.items()}
    except ConfigError as error:
        raise WeightsFormatError(f"{path}: {error} Run recipes/publish.py again, or reinstall lowshotgan.") from error
