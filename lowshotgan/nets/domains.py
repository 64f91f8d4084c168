"""Twin networks of a source and a target domain."""

import copy
from typing import Literal, cast

import torch
from torch import nn

from lowshotgan.errors import ConfigError

Domain = Literal["source", "target"]


class Domains(nn.Module):
    """A network of the source domain and, once there is a target, its twin for the target domain.

    Args:
        source: the network of the source domain.
        adapted: whether there is a target.
    """

    def __init__(self, source: nn.Module, *, adapted: bool = False) -> None:
        super().__init__()
        self.source = source
        self.target: nn.Module | None = copy.deepcopy(source) if adapted else None

    def adapt(self) -> None:
        """Begin a target as a copy of the source; a former target is replaced."""
        self.target = copy.deepcopy(self.source)

    @torch.no_grad()
    def blend(self, strength: float) -> None:
        """Move the target to a place on the line from the source (0) to where it is (1); whole numbers stay.

        Raises:
            ConfigError: if there is no target yet.
        """
        target = self.of("target").state_dict()
        for name, value in self.source.state_dict().items():
            if value.is_floating_point():
                target[name].copy_(value.lerp(target[name], strength))

    def of(self, domain: str) -> nn.Module:
        """The network of one domain.

        Raises:
            ConfigError: if there is no target yet.
        """
        if domain == "target" and self.target is None:
            raise ConfigError("there is no target domain yet; make one with finetune(model, pairs=...).")
        return cast(nn.Module, self.target if domain == "target" else self.source)
