"""What a fine-tuning report is made of: pictures as uint8, everything else as plain JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowshotgan.errors import ConfigError
from lowshotgan.finetune.selector import Limits


@dataclass(frozen=True)
class CurvePoint:
    """One scored snapshot of a run.

    Attributes:
        step: training steps done.
        fidelity: kernel distance to the K images; lower is closer. Unbiased, so it may be slightly negative.
        diversity: mean distance between samples, divided by that of the source's samples; 1 is as varied.
        memorization: share of samples that copy a training image, in [0, 1].
        kept: whether the snapshot is among the best, which the run keeps.
        chosen: whether it is the final model.
    """

    step: int
    fidelity: float
    diversity: float
    memorization: float
    kept: bool = False
    chosen: bool = False


@dataclass(frozen=True, eq=False)
class CopyPair:
    """A sample and the training image it resembles most.

    Attributes:
        seed: of the sample.
        sample: ``(3, R, R)`` uint8.
        nearest: ``(3, R, R)`` uint8, the training image.
        nearest_name: its file name.
        ratio: distance between the two, divided by the distance of that training image to its own nearest neighbour.
        copied: whether the pair counts as a copy.
    """

    seed: int
    sample: Tensor
    nearest: Tensor
    nearest_name: str
    ratio: float
    copied: bool


@dataclass(frozen=True, eq=False)
class FinetuneReport:
    """Everything the report of one fine-tuning shows.

    Keys of ``summary`` that the page knows; each may be missing or ``None``, and others are listed as they are:

    * ``base`` (its name), ``images`` (where the K images came from), ``k``, ``input_summary`` (text);
    * ``recipe`` (its name), ``recipe_explained`` (text), ``settings`` (the whole recipe);
    * ``proximity`` (1 and more), ``distance`` ("near" or "far");
    * ``steps``, ``seconds``, ``seconds_predicted``, ``peak_memory_mb`` (MiB), ``delta_bytes``;
    * ``limits``: ``{"min_diversity", "max_memorization"}`` that a snapshot had to keep;
    * ``memorization`` (rate of the final model), ``memorization_samples`` (how many were looked at);
    * ``warnings`` (list of text), ``protocol`` (id of the measurement), ``versions`` (name -> version);
    * ``device``, ``precision``, ``seed``, ``output_dir`` (what to load; by default the report's folder);
    * ``command`` that runs it again, or else ``no_command``: why there is none.

    Attributes:
        inputs: ``(K, 3, R, R)`` uint8, K >= 1: the training images as the model saw them.
        names: K file names.
        seeds: N seeds, N >= 1.
        base: ``(N, 3, R, R)`` uint8: the source model at these seeds.
        adapted: ``(N, 3, R, R)`` uint8: the adapted model at these seeds.
        curve: every scored snapshot.
        copies: the most copied samples, nearest first.
        summary: nested plain JSON, see above; what is not is turned into it by ``plain``.

    Raises:
        ConfigError: if pictures are not uint8, or shapes and counts do not fit together.
    """

    inputs: Tensor
    names: Sequence[str]
    seeds: Sequence[int]
    base: Tensor
    adapted: Tensor
    curve: Sequence[CurvePoint]
    copies: Sequence[CopyPair]
    summary: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary", plain(self.summary))
        object.__setattr__(self, "names", [clean(name) for name in self.names])
        picture = self.inputs.shape[1:]
        _check_pictures("inputs", self.inputs, (len(self.names), *picture))
        _check_pictures("base", self.base, (len(self.seeds), *picture))
        _check_pictures("adapted", self.adapted, (len(self.seeds), *picture))
        for pair in self.copies:
            _check_pictures("copies: sample", pair.sample[None], (1, *picture))
            _check_pictures("copies: nearest", pair.nearest[None], (1, *picture))

    @property
    def resolution(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.inputs.shape[-1])

    @property
    def source(self) -> str:
        """Name of the base model."""
        return str(self.summary.get("base") or "the base model")

    @property
    def limits(self) -> Limits:
        """What a snapshot had to keep to be chosen."""
        known = self.summary.get("limits") or {}
        return Limits(**{name: float(value) for name, value in known.items() if value is not None})

    @property
    def can_blend(self) -> bool:
        """Whether the model keeps a delta to its base; one trained from nothing has none."""
        return bool(self.summary.get("delta_bytes"))

    @property
    def chosen(self) -> CurvePoint | None:
        """The snapshot that became the final model."""
        return next((point for point in self.curve if point.chosen), None)

    @property
    def memorization(self) -> float:
        """Share of samples of the final model that copy a training image; NaN if unknown."""
        known = self.summary.get("memorization")
        if known is None and self.chosen is not None and "memorization" not in self.summary:
            known = self.chosen.memorization
        return math.nan if known is None else float(known)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pixels as plain JSON; numbers that are not finite become ``None``."""
        copies = [
            {"seed": p.seed, "nearest": p.nearest_name, "ratio": p.ratio, "copied": p.copied} for p in self.copies
        ]
        facts = {
            "protocol": self.summary.get("protocol"),
            "resolution": self.resolution,
            "names": self.names,
            "seeds": self.seeds,
            "curve": [vars(point) for point in self.curve],
            "copies": copies,
            "summary": self.summary,
        }
        return {name: plain(value) for name, value in facts.items()}


def plain(value: Any) -> Any:
    """Turn a nested value into what JSON can hold; numbers that are not finite become ``None``."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {clean(key): plain(each) for key, each in value.items()}
    if isinstance(value, str | Path):
        return clean(value)
    if hasattr(value, "tolist"):  # tensors and NumPy values
        return plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Sequence | set | frozenset):
        return [plain(each) for each in value]
    return clean(value)


def clean(value: Any) -> str:
    """Text that UTF-8 can hold: what a file name could not be decoded to becomes a question mark."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _check_pictures(name: str, pictures: Tensor, shape: tuple[int, ...]) -> None:
    count, *picture = shape
    square = len(picture) == 3 and picture[0] == 3 and picture[1] == picture[2]
    if pictures.dtype != torch.uint8 or not square or not count or tuple(pictures.shape) != shape:
        raise ConfigError(
            f"{name} must be uint8 of shape (count, 3, R, R), one picture for each name or seed and all of one size; "
            f"got {pictures.dtype} {tuple(pictures.shape)} where {shape} is expected."
        )
