"""Sets of iterations: from `after` to `before`, both inclusive, at multiples of `every`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_POINTS = 10_000
"""The most iterations that `first_uncovered` examines after each bound. Real schedules repeat far sooner."""


@dataclass(frozen=True)
class When:
    """A set of iterations, counted from 0. `when & other` is the intersection, also a `When`."""

    after: int = 0
    before: int | None = None
    every: int = 1

    def active(self, iteration: int) -> bool:
        """Whether the set contains the iteration."""
        return (
            iteration >= self.after
            and (self.before is None or iteration <= self.before)
            and iteration % self.every == 0
        )

    def __and__(self, other: When) -> When:
        ends = [end for end in (self.before, other.before) if end is not None]
        return When(max(self.after, other.after), min(ends, default=None), math.lcm(self.every, other.every))

    def first(self, start: int = 0) -> int | None:
        """The first iteration of the set at or after `start`, None when there is none."""
        at = -(-max(self.after, start) // self.every) * self.every
        return at if self.before is None or at <= self.before else None

    def missed(self, during: When) -> str:
        """Why the set contains no iteration of a run: the set itself, and the end or beginning of training."""
        first, reason = self.first(), ""
        if first is not None and during.before is not None and first > during.before:
            reason = f", and training ends after {during.before + 1} iterations"
        elif first is not None and during.after:
            reason = f", and training begins at iteration {during.after}"
        return f"it is active {self}{reason}"

    def __str__(self) -> str:
        parts = []
        if self.after:
            parts.append(f"after {self.after}")
        if self.before is not None:
            parts.append(f"before {self.before}")
        if self.every > 1:
            parts.append(f"every {self.every}")
        return ", ".join(parts) or "always"


ALWAYS = When()


def first_uncovered(reader: When, writers: Iterable[When]) -> int | None:
    """The first iteration at which `reader` is active and no writer is; None when the writers cover the reader.

    Activity changes only at the bounds of the sets, and repeats between bounds with the common period. Examining one
    period after each bound is therefore enough.
    """
    writers = list(writers)
    period = math.lcm(reader.every, *(writer.every for writer in writers))
    bounds = {0, *(writer.after for writer in writers)}
    bounds |= {writer.before + 1 for writer in writers if writer.before is not None}
    for bound in sorted(bounds):
        for iteration in _members(reader, bound, period):
            if not any(writer.active(iteration) for writer in writers):
                return iteration
    return None


def _members(when: When, start: int, length: int) -> Iterator[int]:
    at = when.first(start)
    end = None if at is None else at + min(length, MOST_POINTS * when.every)
    while at is not None and end is not None and at < end:
        yield at
        at = when.first(at + 1)
