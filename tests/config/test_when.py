"""Schedules as sets of iterations, against counting them one by one."""

from __future__ import annotations

import random

import pytest

from artschool.config.when import ALWAYS, NEVER, When, first_uncovered

FAR = 400
"""Further than any bound below plus the longest common period."""


def draw(rng: random.Random) -> When:
    after = rng.choice([0, 0, rng.randrange(40)])
    before = rng.choice([None, None, rng.randrange(60)])
    every = rng.choice([1, 1, 2, 3, 4, 5, 6])
    return When(after, before, every, rng.choice([0, rng.randrange(every)]))


def members(when: When) -> set[int]:
    return {i for i in range(FAR) if when.active(i)}


def test_a_set_counts_its_bounds_in() -> None:
    assert members(When(3, 9, 3)) == {3, 6, 9}
    assert members(When(4, 8, 3)) == {6}
    assert members(When(7, 8, 3)) == set()
    assert members(When(9, 3)) == set()
    assert members(ALWAYS) == set(range(FAR))


def test_a_remainder_begins_later_than_a_multiple() -> None:
    assert members(When(3, 9, 3, 2)) == {5, 8}
    assert (When(3, 9, 3, 2).first(), When(3, 9, 3, 2).last()) == (5, 8)
    # i % 3 == 2 and i % 4 == 3: 11, 23, 35 by hand; i % 4 == 1 and i % 6 == 2 are odd and even.
    assert When(every=3, at=2) & When(every=4, at=3) == When(every=12, at=11)
    assert When(every=4, at=1) & When(every=6, at=2) == NEVER and NEVER.first() is None


def test_both_is_what_each_contains() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        left, right = draw(rng), draw(rng)
        assert members(left & right) == members(left) & members(right), (left, right)


def test_first_is_the_smallest_that_is_not_below_the_start() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        when, start = draw(rng), rng.randrange(70)
        expected = min((i for i in members(when) if i >= start), default=None)
        assert when.first(start) == expected, (when, start)


def test_first_uncovered_is_the_first_that_no_writer_has() -> None:
    rng = random.Random(0)
    found = []
    for _ in range(5000):
        reader, writers = draw(rng), [draw(rng) for _ in range(rng.randrange(4))]
        written: set[int] = set().union(*map(members, writers))
        expected = min(members(reader) - written, default=None)
        assert first_uncovered(reader, writers) == expected, (reader, writers)
        found.append(expected)
    # The draw has to hold both answers often, and gaps that start late, or the test would say little.
    assert found.count(None) > 500 and sum(gap is not None and gap > 10 for gap in found) > 500


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (ALWAYS, "always"),
        (When(5), "after 5"),
        (When(0, 0), "before 0"),
        (When(5, 9, 2), "after 5, before 9, every 2"),
    ],
)
def test_a_schedule_in_words(when: When, text: str) -> None:
    assert str(when) == text


def test_a_gap_after_a_long_common_period_is_found_at_once() -> None:
    # Three of four residues are written; the rest only every 1,171 x 16 iterations, and not at the third of them.
    writers = [When(every=4, at=at) for at in (0, 1, 2)] + [When(before=7 + 2 * 16 * 1171, every=4, at=3)]
    assert first_uncovered(ALWAYS, writers) == 7 + 2 * 16 * 1171 + 4
    assert first_uncovered(ALWAYS, [When(every=2), When(every=2, at=1), *(When(every=p) for p in (997, 1009))]) is None
