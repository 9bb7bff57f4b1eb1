"""Tracks of a corridor, along which lines run side by side."""

from __future__ import annotations

TRACK = 9
"""Between lines that run beside each other, in pixels."""


class Tracks:
    """Lines of one corridor, each known by what runs along it. Those that share no stretch of it may share a track.

    Args:
        apart: How far lines on one track must be from each other.
    """

    def __init__(self, apart: float = 0.0) -> None:
        self.start = 0.0
        self._apart = apart
        self._stretches: dict[object, list[float]] = {}
        self._tracks: dict[object, int] = {}

    def add(self, what: object, begin: float, end: float) -> None:
        """Let a line reach from where it begins to an end; it may have more than one."""
        self._stretches.setdefault(what, [begin]).append(end)

    def arrange(self, *, few_crossings: bool = False) -> None:
        """Give each line its track, when all are known: the first that is free.

        Args:
            few_crossings: Whether to choose an order for lines that come in from the left, and leave to the right:
                of two that turn the same way, the one that has come further along the corridor is the nearer.
        """
        lines = list(self._stretches.items())
        if few_crossings:
            lines.sort(key=lambda line: _order(line[1]))
        taken: list[list[tuple[float, float]]] = []
        for what, points in lines:
            low, high = min(points), max(points)
            free = (i for i, track in enumerate(taken) if all(not self._meet(low, high, *other) for other in track))
            index = next(free, len(taken))
            if index == len(taken):
                taken.append([])
            taken[index].append((low, high))
            self._tracks[what] = index

    def at(self, what: object) -> float:
        """Where the track of a line is."""
        return self.start + TRACK * (self._tracks[what] + 1)

    @property
    def size(self) -> float:
        """How wide the corridor is."""
        return TRACK * (max(self._tracks.values(), default=-1) + 2)

    def _meet(self, low: float, high: float, other_low: float, other_high: float) -> bool:
        return low <= other_high + self._apart and other_low <= high + self._apart


def _order(points: list[float]) -> tuple[bool, float]:
    """First those that turn back, the first of them before others; then those that go on, the last before others."""
    begin, ends = points[0], points[1:]
    goes_on = sum(ends) / len(ends) > begin
    return goes_on, -begin if goes_on else begin
