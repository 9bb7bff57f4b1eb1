"""Sets of iterations: from `after` to `before`, both inclusive, at multiples of `every` or at a remainder of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from artschool.registry.entries import EveryEntry


class Cycle(NamedTuple):
    """The iterations whose remainder by `of` is `at`."""

    of: int = 1
    at: int = 0

    def __and__(self, other: Cycle) -> Cycle | None:
        """The intersection, by the Chinese remainder theorem; None if it is empty."""
        common = math.gcd(self.of, other.of)
        if (other.at - self.at) % common:
            return None
        rest = other.of // common
        turns = (other.at - self.at) // common * pow(self.of // common, -1, rest) % rest
        return Cycle(self.of * rest, self.at + self.of * turns)

    def __str__(self) -> str:
        return f"{{of: {self.of}, at: {self.at}}}" if self.at else f"{self.of:,}"


@dataclass(frozen=True)
class When:
    """A set of iterations, counted from 0. `when & other` is the intersection, also a `When`."""

    after: int = 0
    before: int | None = None
    every: int = 1
    at: int = 0

    @classmethod
    def gated(cls, after: int, before: int | None, every: int | EveryEntry) -> When:
        """The set for the options of a gate."""
        return cls(after, before, every.of, every.at) if isinstance(every, EveryEntry) else cls(after, before, every)

    @property
    def cycle(self) -> Cycle:
        """The set without its bounds."""
        return Cycle(self.every, self.at)

    @property
    def finished(self) -> When:
        """The numbers of finished iterations directly after the iterations of the set."""
        before = None if self.before is None else self.before + 1
        return When(self.after + 1, before, self.every, (self.at + 1) % self.every)

    def active(self, iteration: int) -> bool:
        """Whether the set contains the iteration."""
        return (
            iteration >= self.after
            and (self.before is None or iteration <= self.before)
            and iteration % self.every == self.at
        )

    def __and__(self, other: When) -> When:
        cycle = self.cycle & other.cycle
        if cycle is None:
            return NEVER
        ends = [end for end in (self.before, other.before) if end is not None]
        return When(max(self.after, other.after), min(ends, default=None), *cycle)

    def first(self, start: int = 0) -> int | None:
        """The first iteration of the set at or after `start`, None when there is none."""
        start = max(self.after, start)
        at = start + (self.at - start) % self.every
        return at if self.before is None or at <= self.before else None

    def last(self) -> int | None:
        """The last iteration of the set, None when there is none or no end."""
        if self.before is None:
            return None
        at = self.before - (self.before - self.at) % self.every
        return at if at >= self.after else None

    def missed(self, during: When) -> str:
        """Why the set contains no iteration of a run: the set itself, and the end or beginning of training."""
        first, reason = self.first(), ""
        if first is not None and during.before is not None and first > during.before:
            reason = f", and training ends after {during.before + 1} iterations"
        elif first is not None and during.after:
            reason = f", and training begins at iteration {during.after}"
        return f"it is active {self}{reason}"

    def __str__(self) -> str:
        if self == NEVER:
            return "never"
        parts = []
        if self.after:
            parts.append(f"after {self.after}")
        if self.before is not None:
            parts.append(f"before {self.before}")
        if self.every > 1:
            parts.append(f"every {self.cycle if self.at else self.every}")
        return ", ".join(parts) or "always"


ALL = Cycle()
ALWAYS = When()
NEVER = When(before=-1)


def first_uncovered(reader: When, writers: Iterable[When]) -> int | None:
    """The first iteration at which `reader` is active and no writer is; None when the writers cover the reader.

    Activity changes only at the bounds of the sets. Between bounds, n writers that cover the first 2 ** n iterations of
    the reader cover all of them, as do those that cover one common period: examining the smaller number is enough.

    Source: Crittenden and Vanden Eynden 1970, Proc. AMS 24 (3), 475-481.
    """
    writers = list(writers)
    bounds = {0, *(writer.after for writer in writers)}
    bounds |= {writer.before + 1 for writer in writers if writer.before is not None}
    for bound in sorted(bounds):
        first = reader.first(bound)
        here = [each for each in writers if each.after <= bound and (each & reader).first(bound) is not None]
        period = math.lcm(reader.every, *(writer.every for writer in here)) // reader.every
        for iteration in islice(_members(reader, first), min(period, 2 ** len(here))):
            if not any(writer.active(iteration) for writer in writers):
                return iteration
    return None


def _members(when: When, at: int | None) -> Iterator[int]:
    while at is not None:
        yield at
        at = when.first(at + 1)
