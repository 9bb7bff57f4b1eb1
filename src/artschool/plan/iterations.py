"""Sets of iterations as unions of `When`, counted in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from artschool.config.when import When


@dataclass(frozen=True)
class Iterations:
    """A union of finite sets of iterations.

    Attributes:
        parts: The sets, without empty ones.
    """

    parts: tuple[When, ...]

    @classmethod
    def of(cls, whens: Iterable[When]) -> Iterations:
        """The union of some sets. Empty ones are left out."""
        return cls(tuple(dict.fromkeys(when for when in whens if when.first() is not None)))

    def __and__(self, other: When) -> Iterations:
        return Iterations.of(part & other for part in self.parts)

    def __or__(self, other: Iterations) -> Iterations:
        return Iterations.of((*self.parts, *other.parts))

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __contains__(self, iteration: int) -> bool:
        return any(part.active(iteration) for part in self.parts)

    @property
    def first(self) -> int | None:
        """The first iteration; None if the set is empty."""
        return self.next(0)

    @property
    def last(self) -> int | None:
        """The last iteration; None if the set is empty."""
        return max((_end(part) // part.every * part.every for part in self.parts), default=None)

    def next(self, start: int) -> int | None:
        """The first iteration that is `start` or later; None if there is none."""
        return min((at for part in self.parts if (at := part.first(start)) is not None), default=None)

    def cuts(self) -> set[int]:
        """The iterations at which a part begins, and those that follow the end of a part."""
        return {cut for part in self.parts for cut in (part.after, _end(part) + 1)}

    def periods(self, iteration: int) -> tuple[int, ...]:
        """The `every` of the parts whose interval contains an iteration, without multiples of another one."""
        found = sorted({part.every for part in self.parts if part.after <= iteration <= _end(part)})
        return tuple(n for n in found if not any(n % smaller == 0 for smaller in found if smaller < n))

    def count(self) -> int:
        """The number of iterations."""
        cuts = sorted(self.cuts())
        return sum(_multiples(self.periods(a), a, b) for a, b in pairwise(cuts))


def _end(part: When) -> int:
    assert part.before is not None
    return part.before


def _multiples(periods: Iterable[int], start: int, stop: int) -> int:
    """How many numbers in `start`..`stop - 1` are a multiple of any period, by inclusion and exclusion."""
    signs: dict[int, int] = {}
    for period in periods:
        added = {period: 1}
        for common, sign in signs.items():
            # All numbers from `stop` on have the same multiples below `stop`: 0 alone.
            multiple = min(math.lcm(common, period), stop)
            added[multiple] = added.get(multiple, 0) - sign
        for number, sign in added.items():
            signs[number] = signs.get(number, 0) + sign
    return sum(sign * ((stop - 1) // number - (start - 1) // number) for number, sign in signs.items())
