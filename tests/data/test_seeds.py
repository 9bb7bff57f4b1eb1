"""Seeds that are only set for code that draws give the numbers that seeds set for every call give."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from artschool.data.seeds import IterationSeeding, Seeding, Seeds, kept_rng, seed_all

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


def drawn(seeding: Seeding, draw: Draw, indices: Sequence[int], seeds: Callable[[int], int]) -> list[Any]:
    """A batch, drawn with watched generators."""

    def work(seed: Callable[[int], object]) -> list[Any]:
        results = []
        for index in indices:
            seed(seeds(index))
            results.append(outcome(lambda: draw(index)))  # noqa: B023  # called at once
        return results

    return seeding.watched(work)


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("disturbed", [False, True])
@pytest.mark.parametrize("size", [1, 3])
def test_the_numbers_are_those_of_seeds_for_every_sample(name: str, disturbed: bool, size: int) -> None:
    draw, seeds, seeding = DRAWS[name], Seeds(0, name), Seeding()
    for start in range(0, 600, size):  # More than the states that are known in advance.
        if disturbed and start % 2 == 0:  # As the training does between two batches.
            seed_all(start)
            random.gauss(0.0, 1.0)
            np.random.randn()
        found = drawn(seeding, draw, range(start, start + size), seeds)
        for index, result in zip(range(start, start + size), found, strict=True):
            seed_all(seeds(index))
            assert result == outcome(lambda: draw(index)), index  # noqa: B023  # called at once


def test_two_take_turns() -> None:
    first, second = Seeding(), Seeding()
    for index in range(20):
        found = drawn(first, sometimes, [index], int)
        assert drawn(second, DRAWS["nothing"], [index], int) == [index]
        seed_all(index)
        assert found == [sometimes(index)]


@pytest.mark.parametrize(("name", "repeated"), [("nothing", 0), ("torch", 0), ("python", 1), ("numpy", 1)])
def test_a_batch_is_repeated_at_most_once(name: str, repeated: int) -> None:
    numbers: list[int] = []

    def counted(index: int) -> Any:
        numbers.append(index)
        return DRAWS[name](index)

    seeding = Seeding()
    for index in range(0, 6, 2):
        drawn(seeding, counted, [index, index + 1], int)
    assert numbers == [0, 1] * repeated + [0, 1, 2, 3, 4, 5]


CPU = torch.device("cpu")
PIECES = ("torch", "python", "python_normal", "numpy", "numpy_normal", "numpy_permutation", "all", "seeded_by_itself")


def iterations(draw: Draw, numbers: Sequence[int]) -> tuple[list[Any], IterationSeeding]:
    """What some iterations of a run draw. Between them, samples are read."""
    seeding, samples, results = IterationSeeding(5, 1, CPU), Seeding(), []
    for number in numbers:
        drawn(samples, DRAWS["nothing"], range(number % 3), int)
        seeding.begin(number)
        results.append(draw(number))
        seeding.end()
    return results, seeding


@pytest.mark.parametrize("name", PIECES)
def test_an_iteration_draws_the_numbers_of_its_seed(name: str) -> None:
    found, seeding = iterations(DRAWS[name], range(300))
    seeds = Seeds(5, "iteration")
    for number, result in enumerate(found):
        seed_all(seeds(number, 1))
        assert result == DRAWS[name](number), number
    assert seeding.draws is (name != "torch")


@pytest.mark.parametrize("name", [name for name in PIECES if name not in ("torch", "seeded_by_itself")])
def test_only_the_first_iteration_that_draws_late_has_numbers_of_no_seed(name: str) -> None:
    found, seeding = iterations(lambda number: DRAWS[name](number) if number >= 40 else None, range(60))
    seeds = Seeds(5, "iteration")
    for number in range(41, 60):
        seed_all(seeds(number, 1))
        assert found[number] == DRAWS[name](number), number
    assert seeding.draws
    later, _ = iterations(lambda number: DRAWS[name](number) if number >= 40 else None, range(33, 60))
    assert later[40 - 33 :] == found[40:]
    seed_all(seeds(40, 1))
    assert found[40] not in (DRAWS[name](40), *found[41:])


def test_samples_that_an_iteration_reads_are_not_its_own_draws() -> None:
    samples = Seeding()

    def reading(number: int) -> None:
        with kept_rng():
            drawn(samples, DRAWS["python"], range(number % 4), int)

    assert iterations(reading, range(50))[1].draws is False
