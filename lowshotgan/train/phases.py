"""What one phase of a step needs: when it is due, which parameters learn, its arithmetic, micro-batches and loss."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from lowshotgan.errors import ConfigError
from lowshotgan.types import Phase, Stage


def is_due(phase: Phase, step: int) -> bool:
    """Whether ``phase`` runs on this step."""
    return step >= phase.start and (phase.stop is None or step < phase.stop) and step % phase.every == 0


@contextmanager
def only_trainable(stage: Stage, group: str) -> Iterator[None]:
    """Let gradients reach the parameters of one group and no other of the stage."""
    for name, other in stage.groups.items():
        if name != group:
            for parameter in other.params:
                parameter.requires_grad_(False)
    for parameter in stage.groups[group].params:
        parameter.requires_grad_(True)
    yield
    for other in stage.groups.values():
        for parameter in other.params:
            parameter.requires_grad_(False)


def arithmetic(phase: Phase, precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast for the terms of ``phase`` under ``precision``, "fp32" or "bf16"."""
    if precision == "fp32" or phase.fp32:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def split_batch(images: Any, parts: int) -> list[Any]:
    """Micro-batches of one batch: a tensor, or a mapping of tensors cut alike."""
    if parts == 1:
        return [images]
    if isinstance(images, Mapping):
        cut = {name: split_batch(value, parts) for name, value in images.items()}
        return [{name: chunks[i] for name, chunks in cut.items()} for i in range(parts)]
    if len(images) % parts:
        raise ConfigError(f"batch of {len(images)} cannot be cut into {parts} equal parts; change batch_size.")
    return list(images.chunk(parts))


def weighted_loss(phase: Phase, terms: Mapping[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of the weighted means of a phase's terms, and the detached means by log name."""
    total = torch.zeros([])
    for name, multiplier in phase.weights.items():
        if name in terms:
            weight = multiplier(progress) if callable(multiplier) else multiplier
            total = total.to(terms[name].device) + weight * terms[name].float().mean()
    return total, {f"{phase.name}/{name}": value.detach().float().mean() for name, value in terms.items()}
