"""Recording the graph of a network that is otherwise held fixed."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def with_graph(network: nn.Module) -> Iterator[None]:
    """Record the graph of a network that the running phase holds fixed, for a later phase that trains it."""
    before = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    network.requires_grad_(True)
    try:
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)
