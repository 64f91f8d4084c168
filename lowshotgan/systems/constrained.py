"""Systems whose generator a user may hold to constraints of his own."""

from collections.abc import Mapping

from lowshotgan.checks import positive
from lowshotgan.errors import ConfigError
from lowshotgan.losses.constraints import Constraint, Constraints
from lowshotgan.systems.base import System


class Constrained(System):
    """Base of such systems.

    Attributes:
        constraints: name -> constraint and weight, of training and of fine-tuning; not saved with the model.
    """

    constraints: Constraints = {}  # noqa: RUF012 (replaced, never changed)

    def add_constraint(self, name: str, constraint: Constraint, *, weight: float = 1.0) -> None:
        """One more term of the generator's loss, in every training and fine-tuning from now on.

        The run folder and the model's details name it with its weight; the function itself has to be added again to resume
        the run.

        Args:
            name: under which it is logged, as ``constraint_<name>``.
            constraint: from images ``(B, 3, H, W)`` in [-1, 1] and the system's targets to ``(B,)``; see the system.
            weight: of the term.

        Raises:
            ConfigError: for a name that is taken or no identifier, something that cannot be called, or a weight of 0.
        """
        if not name.isidentifier() or name in self.constraints or not callable(constraint):
            raise ConfigError(
                f"add_constraint needs a new name such as 'small' and a function of images and targets, got {name!r} and "
                f"{constraint!r}."
            )
        self.constraints = {**self.constraints, name: (constraint, positive("weight", weight))}
        told: Mapping[str, float] = {key: value for key, (_, value) in self.constraints.items()}
        self.details["constraints"] = dict(told)
