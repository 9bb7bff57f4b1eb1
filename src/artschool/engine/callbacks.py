"""What looks inside a step: moments at which the trainer calls it. Every method is optional."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from artschool.config.when import ALWAYS, When


class Callback(Protocol):
    """The moments of a step. `step` is the iteration, counted from 0; all processes call all of them alike."""

    def before_step(self, step: int) -> None:
        """The step begins, before its injectors."""

    def before_optimize(self, step: int) -> None:
        """All gradients of the step are there, summed over processes and at their true size, not yet clipped."""

    def after_optimize(self, step: int) -> None:
        """The optimizer has moved; gradients are gone."""

    def log_data(self, step: int) -> Mapping[str, float | Tensor]:
        """Numbers for the log, at a log point."""


@dataclass(frozen=True)
class GatedCallback:
    """A callback of a step with the iterations at which it is called."""

    name: str
    callback: Any
    when: When

    def moment(self, name: str) -> Callable[[int], Any] | None:
        """The method of that name, silent where the gate is closed; None where there is none."""
        method: Callable[[int], Any] | None = getattr(self.callback, name, None)
        if method is None or self.when == ALWAYS:
            return method
        return lambda iteration: method(iteration) if self.when.active(iteration) else None
