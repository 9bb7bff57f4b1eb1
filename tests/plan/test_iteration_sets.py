"""Unions of iterations, against numbers by hand and against counting one by one."""

from __future__ import annotations

import random

import pytest

from artschool.config.iterations import Iterations
from artschool.config.when import When


def test_multiples_of_two_or_three_are_counted_once() -> None:
    both = Iterations.of([When(0, 11, 2), When(0, 11, 3)])  # 0 2 3 4 6 8 9 10
    assert both.count() == 8 and both.first == 0 and both.last == 10
    assert [i for i in range(14) if i in both] == [0, 2, 3, 4, 6, 8, 9, 10]


def test_a_set_of_ten_million_is_counted_at_once() -> None:
    whole = When(0, 9_999_999)
    parts = [whole & When(every=every) for every in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)]
    assert Iterations.of(parts[:2]).count() == 5_000_000 + 3_333_334 - 1_666_667
    assert 0 < Iterations.of(parts).count() < 10_000_000


def test_an_empty_set_has_nothing() -> None:
    empty = Iterations.of([When(5, 4), When(1, 2, 7)])
    assert not empty and empty.count() == 0 and empty.first is None and empty.last is None and 0 not in empty


def test_what_both_contain() -> None:
    assert (Iterations.of([When(0, 20, 2)]) & When(every=3, after=5)).parts == (When(5, 20, 6),)


@pytest.mark.parametrize("seed", range(20))
def test_any_union_is_what_counting_gives(seed: int) -> None:
    draw = random.Random(seed)
    parts = []
    for _ in range(draw.randint(1, 6)):
        after = draw.randint(0, 60)
        every = draw.choice([1, 2, 3, 4, 6, 7, 10])
        parts.append(When(after, after + draw.randint(-5, 90), every, draw.choice([0, draw.randrange(every)])))
    found = [i for i in range(200) if any(part.active(i) for part in parts)]
    union = Iterations.of(parts)
    assert union.count() == len(found)
    assert (union.first, union.last) == ((found[0], found[-1]) if found else (None, None))
    assert [i for i in range(200) if i in union] == found
