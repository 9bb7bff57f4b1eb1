"""A schedule that follows a number of the log."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from artschool.registry import schedules
from artschool.registry.followers import Improvement
from artschool.registry.signature import Fraction, Natural, NotNegative


@schedules.register
class ReduceOnPlateau:
    """Multiply the rate by `factor` whenever a number of the log has stopped improving.

    The number is seen after each iteration that logs it. The state is part of a checkpoint.

    Args:
        metric: Number of the log, such as `<evaluation>/<metric>` or `<step>/<loss>`.
        mode: Direction of improvement. `min`: smaller is better. `max`: larger is better.
        factor: Factor that multiplies the rate, 0 to 1.
        patience: Number of values in a row without an improvement that leave the rate as it is; one more reduces it.
        threshold: By how much a value must differ from the best one to be an improvement.
        threshold_mode: Meaning of `threshold`. `rel`: a part of the best value. `abs`: a difference.
        cooldown: Number of values after a reduction that are not counted.
        min_rate: Rate below which the schedule does not go, 0 or more. An absolute rate, not a multiple of the base
            rate.

    Source: `torch.optim.lr_scheduler.ReduceLROnPlateau`.
    """

    def __init__(
        self,
        metric: str,
        *,
        mode: Literal["min", "max"] = "min",
        factor: Fraction = 0.1,
        patience: Natural = 10,
        threshold: NotNegative = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: Natural = 0,
        min_rate: NotNegative = 0.0,
    ) -> None:
        self.metric = metric
        self._improvement = Improvement(mode, threshold, is_relative=threshold_mode == "rel")
        self._factor, self._patience, self._cooldown, self._min_rate = factor, patience, cooldown, min_rate
        self._reductions = 0
        self._cooling = 0

    def __call__(self, rate: float, iteration: int) -> float:
        """The rate after the reductions so far, whatever the iteration."""
        return max(rate * math.pow(self._factor, self._reductions), min(self._min_rate, rate))

    def see(self, value: float) -> None:
        """Count a value, and reduce the rate if there were too many without an improvement."""
        self._improvement.see(value)
        if self._cooling:
            self._cooling -= 1
            self._improvement.count = 0
        if self._improvement.count > self._patience:
            self._reductions += 1
            self._cooling, self._improvement.count = self._cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """The best value, the values since, the number of reductions and the rest of the cooldown."""
        return {**self._improvement.state_dict(), "reductions": self._reductions, "cooling": self._cooling}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        if min(state["reductions"], state["cooling"]) < 0:
            raise ValueError("expected numbers of 0 or more")
        self._improvement.load_state_dict(state)
        self._reductions, self._cooling = state["reductions"], state["cooling"]
