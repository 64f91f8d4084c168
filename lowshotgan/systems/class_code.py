"""What a model took from the exemplars of one class: encoded once, kept, merged, walked between."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from lowshotgan.errors import ConfigError, WeightsFormatError
from lowshotgan.hub.tensors import read_tensors_and_metadata, write_tensors


@dataclass(frozen=True, eq=False)
class ClassCode:
    """What a model took from K exemplars of one class; everything a translation needs of them.

    Attributes:
        values: ``(...)`` float32 on the CPU, the mean over the exemplars.
        count: K.
        model: fingerprint of the model that made it; others refuse it.
        name: of the class.
    """

    values: Tensor
    count: int
    model: str
    name: str = "class"

    def save(self, path: str | Path) -> Path:
        """Write a small safetensors file."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"kind": "class code", "count": str(self.count), "model": self.model, "name": self.name}
        return write_tensors(path, {"code": self.values}, metadata=about)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            WeightsFormatError: if the file is no class code.
        """
        tensors, about = read_tensors_and_metadata(path)
        if set(tensors) != {"code"} or about.get("kind") != "class code":
            raise WeightsFormatError(f"{path} is no class code; make one with encode_exemplars(...).save(path).")
        return cls(tensors["code"], int(about["count"]), about["model"], about["name"])

    def __add__(self, other: "ClassCode") -> "ClassCode":
        """The code of both sets of exemplars together."""
        self._check_same_model(other)
        count = self.count + other.count
        values = (self.values * self.count + other.values * other.count) / count
        return ClassCode(values, count, self.model, self.name)

    def towards(self, other: "ClassCode", share: float) -> "ClassCode":
        """A code on the line from this one (``share`` 0) to another (1); beyond it exaggerates."""
        self._check_same_model(other)
        values = self.values.lerp(other.values, float(share))
        return ClassCode(values, self.count, self.model, f"{self.name}-{share:g}-{other.name}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, exact for float32."""
        shape, values = list(self.values.shape), self.values.flatten().tolist()
        return {"values": values, "shape": shape, "count": self.count, "model": self.model, "name": self.name}

    @classmethod
    def from_dict(cls, about: Mapping[str, Any]) -> Self:
        """What ``to_dict`` returned."""
        values = torch.tensor(about["values"], dtype=torch.float32).view(about["shape"])
        return cls(values, about["count"], about["model"], about["name"])

    def _check_same_model(self, other: "ClassCode") -> None:
        if self.model != other.model:
            raise ConfigError("the two class codes are of different models; encode both with one model.")
