"""The robust z-score of each loss among its last values."""

from __future__ import annotations

import statistics
from collections import deque

WINDOW = 50
"""Number of log points with which a loss is compared."""
FEWEST = 20


class Scores:
    """The last values of each loss."""

    def __init__(self) -> None:
        self._values: dict[str, deque[float]] = {}
        self._bad: set[str] = set()

    def score(self, name: str, value: float) -> float:
        """The robust z-score of a value among the last ones, of which it becomes one. 0.0: there are too few.

        Source: Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers: 1.4826 times the median absolute deviation
        estimates the standard deviation.
        """
        values = self._values.setdefault(name, deque(maxlen=WINDOW))
        known = list(values)
        values.append(value)
        if len(known) < FEWEST:
            return 0.0
        median = statistics.median(known)
        deviation = 1.4826 * statistics.median(abs(each - median) for each in known)
        return (value - median) / max(deviation, 1e-3 * abs(median), 1e-12)

    def is_new(self, name: str, *, is_bad: bool) -> bool:
        """Whether a loss is no number now, and was one at the last log point."""
        was_bad = name in self._bad
        (self._bad.add if is_bad else self._bad.discard)(name)
        return is_bad and not was_bad
