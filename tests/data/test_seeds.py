"""Seeds that are only set for code that draws give the numbers that seeds set for every call give."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from artschool.data.seeds import SeededCalls, Seeds, seed_all

Draw = Callable[[int], Any]


def sometimes(index: int) -> float:
    """Python's numbers for some samples only, in an odd number."""
    return random.getrandbits(32) if index % 5 == 3 else 0


def seeded_by_itself(index: int) -> list[float]:
    random.seed(index)
    np.random.seed(index)
    return [random.random(), *np.random.rand(2)]


def failing(index: int) -> float:
    value = random.random()
    if index % 2:
        raise ValueError(value)
    return value


DRAWS: dict[str, Draw] = {
    "nothing": lambda index: index,
    "torch": lambda index: torch.rand(2).tolist(),
    "python": lambda index: random.random(),
    "python_normal": lambda index: random.gauss(0.0, 1.0),  # Draws two numbers and keeps one of them.
    "numpy": lambda index: np.random.rand(3).tolist(),
    "numpy_normal": lambda index: float(np.random.randn()),  # Likewise.
    "numpy_permutation": lambda index: np.random.permutation(7).tolist(),
    "all": lambda index: [random.random(), np.random.rand(), torch.rand(1).item()],
    "sometimes": sometimes,
    "seeded_by_itself": seeded_by_itself,
    "failing": failing,
}


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("disturbed", [False, True])
def test_the_numbers_are_those_of_seeds_for_every_call(name: str, disturbed: bool) -> None:
    draw, seeds = DRAWS[name], Seeds(0, name)
    calls = SeededCalls(draw)
    for index in range(600):  # More than the states that are known in advance.
        if disturbed and index % 3 == 0:  # As the training does between two batches.
            seed_all(index)
            random.gauss(0.0, 1.0)
            np.random.randn()
        found = outcome(lambda: calls(index, seeds(index)))  # noqa: B023  # called at once
        seed_all(seeds(index))
        assert found == outcome(lambda: draw(index)), index  # noqa: B023  # called at once


def test_two_functions_take_turns() -> None:
    first, second = SeededCalls(DRAWS["sometimes"]), SeededCalls(DRAWS["nothing"])
    for index in range(20):
        found = first(index, index)
        assert second(index, index) == index
        seed_all(index)
        assert found == sometimes(index)


@pytest.mark.parametrize(("name", "repeated"), [("nothing", 0), ("torch", 0), ("python", 1), ("numpy", 1)])
def test_a_call_is_repeated_at_most_once(name: str, repeated: int) -> None:
    numbers: list[int] = []

    def counted(index: int) -> Any:
        numbers.append(index)
        return DRAWS[name](index)

    calls = SeededCalls(counted)
    for index in range(5):
        calls(index, index)
    assert numbers == [0] * repeated + [0, 1, 2, 3, 4]
