"""Running means that are equal in every process."""

from typing import Any

from torch import Tensor

from lowshotgan.processes import mean_over_processes as mean_over_processes


class PathMean:
    """Running mean of path lengths (decay 0.99), equal in every process and carried in checkpoints."""

    def __init__(self) -> None:
        self.value = 0.0

    def update(self, lengths: Tensor) -> float:
        """Take in ``lengths (B,)`` and return the new mean."""
        self.value += 0.01 * (float(mean_over_processes(lengths.detach().mean())) - self.value)
        return self.value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = float(state["value"])
