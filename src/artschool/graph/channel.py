"""Channels: strips between boxes in which edges run in parallel, as in the routing of circuits."""

from __future__ import annotations

TRACK = 9
"""Distance between parallel tracks, in pixels."""


class Channel:
    """A strip in which lines run in parallel tracks. Lines that do not overlap may share a track.

    Args:
        min_gap: Smallest distance between the ends of two lines on one track.

    Attributes:
        start: Position of the channel's first side, set once the layout is known.
    """

    def __init__(self, min_gap: float = 0.0) -> None:
        self.start = 0.0
        self._min_gap = min_gap
        self._points: dict[object, list[float]] = {}
        self._tracks: dict[object, int] = {}

    def add(self, line: object, begin: float, end: float) -> None:
        """Add a line from `begin` to `end`. A line that is added again gets a further end."""
        self._points.setdefault(line, [begin]).append(end)

    def arrange(self, *, few_crossings: bool = False) -> None:
        """Assign each line to the first free track, once all lines are added.

        Args:
            few_crossings: Whether to order the lines so that few cross. Assumes that lines enter from the left and
                leave to the right.
        """
        lines = list(self._points.items())
        if few_crossings:
            lines.sort(key=lambda item: _crossing_order(item[1]))
        taken: list[list[tuple[float, float]]] = []
        for line, points in lines:
            low, high = min(points), max(points)
            free = (i for i, track in enumerate(taken) if all(not self._overlap(low, high, *other) for other in track))
            index = next(free, len(taken))
            if index == len(taken):
                taken.append([])
            taken[index].append((low, high))
            self._tracks[line] = index

    def at(self, line: object) -> float:
        """Position of a line's track."""
        return self.start + TRACK * (self._tracks[line] + 1)

    @property
    def size(self) -> float:
        """Width of the channel."""
        return TRACK * (max(self._tracks.values(), default=-1) + 2)

    def _overlap(self, low: float, high: float, other_low: float, other_high: float) -> bool:
        return low <= other_high + self._min_gap and other_low <= high + self._min_gap


def _crossing_order(points: list[float]) -> tuple[bool, float]:
    """Sort key: lines that run backwards by increasing begin, then lines that run forwards by decreasing begin."""
    begin, ends = points[0], points[1:]
    runs_forwards = sum(ends) / len(ends) > begin
    return runs_forwards, -begin if runs_forwards else begin
