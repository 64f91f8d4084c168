"""New tensors beside a frozen generator, and how each changes the generator's parameters.

Every class holds only what is trained. ``overrides`` is a pure map from the frozen parameters to the effective ones,
so the adapted generator runs through ``torch.func.functional_call`` and merging is writing the same values down.
At initialisation every map returns the frozen values unchanged.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from lowshotgan.nets.layers import EqualLinear
from lowshotgan.nets.stylegan2 import Generator


class Overrides(nn.Module, ABC):
    """New tensors with a map from the frozen parameters (by name) to those that change."""

    copies: frozenset[str] = frozenset()
    """Names this module replaces outright; whatever changed them before would be lost."""

    @abstractmethod
    def overrides(self, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Effective values of the parameters this module changes, from the values ``base``."""


class Values(Overrides):
    """Trained copies of some of the generator's own parameters."""

    def __init__(self, generator: Generator, names: Iterable[str]) -> None:
        super().__init__()
        base = dict(generator.named_parameters())
        self.copies = frozenset(names)
        for name in sorted(self.copies):
            self.register_parameter(stored(name), nn.Parameter(base[name].detach().clone()))

    def overrides(self, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self.get_parameter(stored(name)) for name in self.copies}


class StyleOffsets(Overrides):
    """One vector, times ``gain``, added to each style, that is to the output of each affine layer."""

    def __init__(self, generator: Generator, *, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.layers = affine_layers(generator)
        for layer in self.layers:
            width = generator.get_parameter(f"{layer}.bias").shape
            self.register_parameter(stored(layer), nn.Parameter(torch.zeros(width)))

    def overrides(self, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            f"{name}.bias": base[f"{name}.bias"] + self.gain * self.get_parameter(stored(name)) for name in self.layers
        }


class StyleVectorMap(Overrides):
    """``w' = scale * w + offset`` before each affine layer; one row per layer, or one shared row.

    With the equalised gain g, ``A w' + b = (A scale) w + (b + g A offset)``: the scale goes into the columns of the
    affine weight and the offset into its bias. What is stored is the offset divided by ``gain``.
    """

    def __init__(self, generator: Generator, *, shared: bool, scaled: bool, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.layers = affine_layers(generator)
        self.gains = [affine_gain(generator, layer) for layer in self.layers]
        rows = 1 if shared else len(self.layers)
        self.offset = nn.Parameter(torch.zeros(rows, generator.w_dim))
        self.scale = nn.Parameter(torch.ones(rows, generator.w_dim)) if scaled else None

    def overrides(self, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        effective: dict[str, Tensor] = {}
        for index, (layer, gain) in enumerate(zip(self.layers, self.gains, strict=True)):
            row = index % len(self.offset)
            weight = base[f"{layer}.weight"]
            effective[f"{layer}.bias"] = base[f"{layer}.bias"] + self.gain * gain * (weight @ self.offset[row])
            if self.scale is not None:
                effective[f"{layer}.weight"] = weight * self.scale[row]
        return effective


class LowRankAffine(Overrides):
    """``weight + scale * up @ down`` for each affine layer: ``up`` zero, rows of ``down`` random unit vectors."""

    def __init__(self, generator: Generator, *, rank: int, scale: float, random: torch.Generator) -> None:
        super().__init__()
        self.layers = affine_layers(generator)
        self.scale = scale
        for layer in self.layers:
            rows, columns = generator.get_parameter(f"{layer}.weight").shape
            down = nn.functional.normalize(torch.randn(rank, columns, generator=random), dim=1)
            self.register_parameter(stored(layer, "down"), nn.Parameter(down))
            self.register_parameter(stored(layer, "up"), nn.Parameter(torch.zeros(rows, rank)))

    def overrides(self, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {f"{name}.weight": base[f"{name}.weight"] + self._delta(name) for name in self.layers}

    def _delta(self, layer: str) -> Tensor:
        return self.get_parameter(stored(layer, "up")) @ self.get_parameter(stored(layer, "down")) * self.scale


class BlockOffset(Overrides):
    """An ``(O, I, 1, 1)`` offset, equal over the kernel, on each convolution of the block of one side."""

    def __init__(self, generator: Generator, side: int) -> None:
        super().__init__()
        start = f"synthesis.b{side}."
        names = [name for name, _ in generator.named_parameters()]
        self.names = [name for name in names if name.startswith(start) and name.endswith(".conv.weight")]
        for name in self.names:
            shape = generator.get_parameter(name).shape[:2]
            self.register_parameter(stored(name), nn.Parameter(torch.zeros(*shape, 1, 1)))

    def overrides(self, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: base[name] + self.get_parameter(stored(name)) for name in self.names}


class Chain(Overrides):
    """Several maps, each applied to what the ones before it made."""

    def __init__(self, members: Sequence[Overrides]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.copies = frozenset().union(*(member.copies for member in members))

    def overrides(self, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return chain_overrides(self.members, base)


def chain_overrides(members: Iterable[nn.Module], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Effective values after all ``members``, in order."""
    effective: dict[str, Tensor] = {}
    for member in members:
        assert isinstance(member, Overrides)
        effective |= member.overrides({**base, **effective})
    return effective


def affine_layers(generator: Generator) -> list[str]:
    """Names of the style affines, in the order of synthesis: one per convolution and one per RGB layer."""
    return [name for name, _ in generator.named_modules() if name.endswith(".affine")]


def affine_gain(generator: Generator, layer: str) -> float:
    """The equalised gain of a style affine, ``1 / sqrt(w_dim)``."""
    module = generator.get_submodule(layer)
    assert isinstance(module, EqualLinear)
    return module.weight_gain


def stored(*names: str) -> str:
    """A parameter's name as an attribute of another module, where dots are not allowed."""
    return ".".join(names).replace(".", "/")
