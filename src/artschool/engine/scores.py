"""The robust z-score of each loss among its last values."""

from __future__ import annotations

import statistics
from collections import deque

WINDOW = 50
"""Number of log points with which a loss is compared."""
FEWEST = 20


class Scores:
    """The last values of each loss, and its problem."""

    def __init__(self) -> None:
        self._values: dict[str, deque[float]] = {}
        self._problems: dict[str, str | None] = {}

    def score(self, name: str, value: float) -> float:
        """The robust z-score of a value among the last ones, of which it becomes one.

        0.0: there are too few, or the value is not above their median.

        Source: Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers: 1.4826 times the median absolute deviation
        estimates the standard deviation.
        """
        values = self._values.setdefault(name, deque(maxlen=WINDOW))
        known = list(values)
        values.append(value)
        if len(known) < FEWEST:
            return 0.0
        median = statistics.median(known)
        if value <= median:
            return 0.0
        deviation = 1.4826 * statistics.median([abs(each - median) for each in known])
        return (value - median) / max(deviation, 1e-3 * abs(median), 1e-12)

    def is_new(self, name: str, problem: str | None) -> bool:
        """Whether a loss has a problem that it did not have at the last log point. None: it has none."""
        before = self._problems.get(name)
        self._problems[name] = problem
        return problem not in (None, before)
