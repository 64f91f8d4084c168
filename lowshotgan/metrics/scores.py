"""A report: named scores, the protocol they were measured by, and what to keep in mind when reading them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.memorization import Memorization
from lowshotgan.metrics.protocol import Protocol

SHOWN_PAIRS = 16


@dataclass(frozen=True)
class Score:
    """One number.

    Attributes:
        name: as printed, for example ``KD-lsg1``; the extractor is part of it.
        value: NaN where it could not be computed.
        better: ``"lower"``, ``"higher"`` or ``""`` where neither holds.
        against: ``"reference"``, ``"train"`` or ``"source"``: the images it compares the fakes with.
        low: lower end of the 95 % bootstrap interval, if there is one.
        high: upper end.
        reliable: false where the sets are too small for the number to mean much; printed in brackets then.
    """

    name: str
    value: float
    better: str
    against: str
    low: float | None = None
    high: float | None = None
    reliable: bool = True


@dataclass(frozen=True)
class MetricReport:
    """What ``measure`` returns.

    Attributes:
        scores: by key (``kernel``, ``frechet``, ``precision`` ...).
        protocol: how they were measured.
        warnings: sentences for the reader.
        memorization: pairs behind the memorisation rate, for a picture (``memorization.draw``); not kept in
            JSON.
    """

    scores: Mapping[str, Score]
    protocol: Protocol
    warnings: tuple[str, ...] = ()
    memorization: Memorization | None = field(default=None, compare=False)

    def __getitem__(self, key: str) -> Score:
        """A score by key or printed name.

        Raises:
            ConfigError: if the report has no such score.
        """
        for known, score in self.scores.items():
            if key in (known, score.name):
                return score
        raise ConfigError(f"the report has no score {key!r}; it has {', '.join(self.scores) or 'none'}.")

    def compare(self, other: "MetricReport") -> dict[str, float]:
        """Value of ``other`` minus value of this report, for every score both have.

        Scores against training or source images are left out if those images differ.

        Raises:
            ConfigError: if the protocols differ; the message names what.
        """
        if self.protocol.id != other.protocol.id:
            raise ConfigError(
                f"these reports cannot be compared: {', '.join(self._differences(other))} differ; "
                "measure both models with the same extractor, reference images, counts and seed."
            )
        same = {
            "reference": True,
            "train": self.protocol.train == other.protocol.train,
            "source": self.protocol.source == other.protocol.source,
        }
        return {
            key: other.scores[key].value - score.value
            for key, score in self.scores.items()
            if key in other.scores and same[score.against]
        }

    def _differences(self, other: "MetricReport") -> list[str]:
        names = [one.name for one in fields(Protocol) if one.name not in ("train", "source")]
        pairs = ((name, getattr(self.protocol, name), getattr(other.protocol, name)) for name in names)
        return [f"{name} ({mine} and {theirs})" for name, mine, theirs in pairs if mine != theirs]

    def table(self) -> str:
        """Aligned lines of name, value, interval, direction; unreliable values in brackets, warnings
        below.
        """
        rows = [(score.name, *_columns(score)) for score in self.scores.values()]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        notes = [f"! {warning}" for warning in self.warnings]
        return "\n".join([*lines, f"protocol {self.protocol.id}", *notes])

    def __str__(self) -> str:
        return self.table()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; values that could not be computed are ``None``."""
        scores = {key: {k: _plain(v) for k, v in asdict(score).items()} for key, score in self.scores.items()}
        found = {"scores": scores, "protocol": self.protocol.to_dict(), "warnings": list(self.warnings)}
        return found | ({"copies": self._copies(self.memorization)} if self.memorization else {})

    @staticmethod
    def _copies(memorization: Memorization) -> list[dict[str, Any]]:
        return [{k: _plain(v) for k, v in asdict(pair).items()} for pair in memorization.pairs[:SHOWN_PAIRS]]

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "MetricReport":
        """The report ``to_dict`` described, without the memorisation pairs.

        Raises:
            ConfigError: if a field is missing or unknown.
        """
        try:
            scores = {
                key: Score(**{**score, "value": math.nan if score["value"] is None else score["value"]})
                for key, score in plain["scores"].items()
            }
            protocol = Protocol(**{key: value for key, value in plain["protocol"].items() if key != "id"})
            return cls(scores, protocol, tuple(plain["warnings"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"this is no metric report ({error!r}); write one with to_json().") from error


def compare_reports(reports: Mapping[str, MetricReport]) -> str:
    """A Markdown table with a row for each report and a column for each score any of them has; unreliable ones in brackets.

    Args:
        reports: by the name of their row.
    """
    names = list(dict.fromkeys(score.name for report in reports.values() for score in report.scores.values()))
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row, report in reports.items():
        values = {score.name: _columns(score)[0] for score in report.scores.values()}
        lines.append(f"| {row} | " + " | ".join(values.get(name, "") for name in names) + " |")
    return "\n".join(lines)


def _columns(score: Score) -> tuple[str, str, str]:
    value = "n/a" if math.isnan(score.value) else f"{score.value:.4g}"
    if not score.reliable and value != "n/a":
        value = f"[{value}]"
    interval = "" if score.low is None or score.high is None else f"({score.low:.4g} to {score.high:.4g})"
    return value, interval, f"{score.better} is better" if score.better else ""


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
