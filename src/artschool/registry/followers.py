"""What a component that follows a number of the log has to offer, such as a schedule that waits for a plateau."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Follower(Protocol):
    """Something that follows a number of the log.

    Attributes:
        metric: The name of the number.
    """

    metric: str

    def see(self, value: float) -> None:
        """Called with each new value of the number."""

    def state_dict(self) -> dict[str, Any]:
        """The state, as plain values for a checkpoint. Each value keeps its kind: number, text, list or mapping."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`."""


class Improvement:
    """Counts the values in a row that are not better than the best so far.

    Args:
        mode: `min`: smaller is better. `max`: larger is better.
        threshold: By how much a better value must differ.
        is_relative: Whether `threshold` is a factor of the best value.
    """

    def __init__(self, mode: str, threshold: float, *, is_relative: bool) -> None:
        self._sign = 1.0 if mode == "max" else -1.0
        self._threshold = threshold
        self._is_relative = is_relative
        self.best: float | None = None
        self.count = 0

    def see(self, value: float) -> None:
        """Compare a value with the best one."""
        if (self.best is None and value == value) or (self.best is not None and self._is_better(value, self.best)):  # noqa: PLR0124  # NaN
            self.best, self.count = value, 0
        else:
            self.count += 1

    def _is_better(self, value: float, best: float) -> bool:
        # As torch does: a relative threshold is a factor, whatever the sign of the best value.
        if self._is_relative:
            return self._sign * value > self._sign * best * (1.0 + self._sign * self._threshold)
        return self._sign * value > self._sign * best + self._threshold

    def state_dict(self) -> dict[str, Any]:
        """The best value and the number of values since."""
        return {"best": self.best, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.best, self.count = None if state["best"] is None else float(state["best"]), state["count"]
