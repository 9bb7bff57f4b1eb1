"""Lines side by side in a corridor."""

from __future__ import annotations

from artschool.graph.channel import TRACK, Channel


def arranged(*lines: tuple[str, float, float], min_gap: float = 0, few_crossings: bool = False) -> dict[str, float]:
    tracks = Channel(min_gap)
    for what, begin, end in lines:
        tracks.add(what, begin, end)
    tracks.arrange(few_crossings=few_crossings)
    return {what: tracks.at(what) / TRACK for what, *_ in lines}


def test_lines_that_share_no_stretch_share_a_track() -> None:
    assert arranged(("a", 0, 10), ("b", 20, 30), ("c", 5, 25)) == {"a": 1, "b": 1, "c": 2}
    assert arranged(("a", 0, 10), ("b", 20, 30), min_gap=10) == {"a": 1, "b": 2}


def test_a_line_with_several_ends_reaches_all_of_them() -> None:
    assert arranged(("a", 10, 0), ("a", 10, 40), ("b", 30, 50)) == {"a": 1, "b": 2}


def test_lines_are_ordered_so_that_they_need_not_cross() -> None:
    # Both go down, and the upper one would cross the lower one's way in, were it the left one.
    assert arranged(("upper", 0, 50), ("lower", 10, 60), few_crossings=True) == {"lower": 1, "upper": 2}
    # Both go up, and the lower one would cross the upper one's way in, were it the left one.
    assert arranged(("lower", 60, 10), ("upper", 50, 0), few_crossings=True) == {"upper": 1, "lower": 2}


def test_a_corridor_is_as_wide_as_its_tracks() -> None:
    tracks = Channel()
    tracks.arrange()
    assert tracks.size == TRACK
    tracks.add("a", 0, 10)
    tracks.add("b", 5, 15)
    tracks.arrange()
    assert tracks.size == 3 * TRACK
