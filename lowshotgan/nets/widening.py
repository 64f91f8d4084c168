"""Drawing with weights that are not float32: each operation runs in the widest type among its inputs and float32.

Half types keep weights in half the memory; sums over hundreds of channels, normalisation and demodulation need more
digits (and float16 a wider range) than they have, so the arithmetic is not theirs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lowshotgan.checks import one_of

_NORMS = frozenset({"batch_norm", "instance_norm", "group_norm", "layer_norm"})
_SUMS = frozenset(
    {"linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "dot", "vdot", "addmm", "baddbmm", "einsum"}
)
_SUMS |= {f"conv{kind}{d}d" for kind in ("", "_transpose") for d in (1, 2, 3)}
_PAIRED = frozenset({"lerp", "mse_loss", "grid_sample", "cdist", "cosine_similarity"})
_WIDENED = _NORMS | _SUMS | _PAIRED
"""Operations that refuse inputs of several types, or lose digits in a half type."""

TYPES = ("float32", "float16", "bfloat16", "float64")


def weight_type(given: torch.dtype | str | None) -> torch.dtype | None:
    """One of ``TYPES``, given as it is or as text; ``None`` stays ``None``.

    Raises:
        ConfigError: for any other.
    """
    if given is None:
        return None
    found: torch.dtype = getattr(torch, one_of("dtype", str(given).removeprefix("torch."), TYPES))
    return found


def widened(module: nn.Module) -> AbstractContextManager[Any]:
    """A context in which ``module`` draws from float32 inputs, whatever the type of its weights.

    Gradients flow; running statistics of batch norm are kept. For float32 weights it does nothing.
    """
    types = {tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()}
    return nullcontext() if types <= {torch.float32} else _Widen()


class _Widen(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name not in _WIDENED or "out" in options:
            return func(*args, **options)
        dtype = reduce(torch.promote_types, _float_types([*args, *options.values()]), torch.float32)
        wide = [_as_type(value, dtype) for value in args]
        wide_options = {key: _as_type(value, dtype) for key, value in options.items()}
        result = func(*wide, **wide_options)
        if func in (F.batch_norm, F.instance_norm):
            _keep_statistics(args[1:3], wide[1:3])
        return result


def _float_types(values: Iterable[Any]) -> list[torch.dtype]:
    flat = (one for value in values for one in (value if isinstance(value, list | tuple) else (value,)))
    return [value.dtype for value in flat if isinstance(value, Tensor) and value.is_floating_point()]


def _as_type(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    return type(value)(_as_type(one, dtype) for one in value) if type(value) in (list, tuple) else value


def _keep_statistics(given: Sequence[Any], used: Sequence[Any]) -> None:
    """Copy the running mean and variance back, which norms in training mode change in place."""
    for before, after in zip(given, used, strict=True):
        if isinstance(before, Tensor) and before is not after:
            before.copy_(after)
