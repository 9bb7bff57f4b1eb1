"""Callbacks of a step: the methods that the trainer calls while the step runs. Every method is optional."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from artschool.config.when import ALWAYS, When


class Callback(Protocol):
    """The methods of a callback. `step` is the iteration, counted from 0. Every process makes the same calls."""

    def before_step(self, step: int) -> None:
        """Called before the injectors of the step."""

    def before_optimize(self, step: int) -> None:
        """Called when all gradients are complete: summed over processes and unscaled, but not yet clipped."""

    def after_optimize(self, step: int) -> None:
        """Called after the optimizer has updated the parameters and the gradients are dropped."""

    def log_data(self, step: int) -> Mapping[str, float | Tensor]:
        """Return numbers to log, by name. Called at each log point."""


@dataclass(frozen=True)
class GatedCallback:
    """A callback of a step, and the iterations at which it is called."""

    name: str
    callback: Any
    when: When

    def method(self, name: str) -> Callable[[int], Any] | None:
        """The method of that name, which does nothing at iterations where the gate is closed. None: no such method."""
        found: Callable[[int], Any] | None = getattr(self.callback, name, None)
        if found is None or self.when == ALWAYS:
            return found
        return lambda iteration: found(iteration) if self.when.active(iteration) else None
