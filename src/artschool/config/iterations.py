"""Sets of iterations as unions of `When`, counted in closed form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from artschool.config.when import Cycle, When


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

    def __iter__(self) -> Iterator[int]:
        at = self.next(0)
        while at is not None:
            yield at
            at = self.next(at + 1)

    @property
    def first(self) -> int | None:
        """The first iteration; None if the set is empty."""
        return self.next(0)

    @property
    def last(self) -> int | None:
        """The last iteration; None if the set is empty."""
        return max((at for part in self.parts if (at := part.last()) is not None), default=None)

    def next(self, start: int) -> int | None:
        """The first iteration that is `start` or later; None if there is none."""
        return min((at for part in self.parts if (at := part.first(start)) is not None), default=None)

    def cuts(self) -> set[int]:
        """The iterations at which a part begins, and those that follow the end of a part."""
        return {cut for part in self.parts for cut in (part.after, _end(part) + 1)}

    def cycles(self, iteration: int) -> tuple[Cycle, ...]:
        """The cycles of the parts whose interval contains an iteration, without those inside another one."""
        found = sorted({part.cycle for part in self.parts if part.after <= iteration <= _end(part)})
        return tuple(c for c in found if not any(c & other == c for other in found if other != c))

    def count(self) -> int:
        """The number of iterations."""
        cuts = sorted(self.cuts())
        return sum(_members(self.cycles(a), a, b) for a, b in pairwise(cuts))


def _end(part: When) -> int:
    assert part.before is not None
    return part.before


def _members(cycles: Iterable[Cycle], start: int, stop: int) -> int:
    """How many numbers in `start`..`stop - 1` are in any cycle, by inclusion and exclusion."""
    signs: dict[Cycle, int] = {}
    for cycle in cycles:
        added = {cycle: 1}
        for known, sign in signs.items():
            common = known & cycle
            if common is not None and common.at < stop:
                # All cycles from `stop` on have one number below `stop`.
                common = Cycle(min(common.of, stop), common.at)
                added[common] = added.get(common, 0) - sign
        for common, sign in added.items():
            signs[common] = signs.get(common, 0) + sign
    return sum(sign * (_below(common, stop) - _below(common, start)) for common, sign in signs.items())


def _below(cycle: Cycle, stop: int) -> int:
    """How many numbers in `0`..`stop - 1` are in a cycle."""
    return len(range(cycle.at, stop, cycle.of))
