"""Numbers between two log points: constant memory, and the same bits however many there are."""

from __future__ import annotations

import tracemalloc

import pytest
import torch
from torch import Tensor

from artschool.engine import meters as meters_module
from artschool.engine.meters import MOST_UNSUMMED, Meters
from artschool.engine.skip_counter import MOST_FLAGS, SkipCounter, Skips

COUNT = 3 * MOST_UNSUMMED + 7


def numbers() -> list[tuple[Tensor, float]]:
    """Values and weights whose products and sums are rounded."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand((), generator=generator), 1 / (index % 7 + 3)) for index in range(COUNT)]


def test_a_sum_on_the_device_has_the_bits_of_one_in_python() -> None:
    meters = Meters()
    total = weights = 0.0
    for value, weight in numbers():
        meters.add("x", value, weight)
        total, weights = total + value.item() * weight, weights + weight
    assert meters.state_dict() == {"x": (total, weights)}
    assert meters.means() == meters.drain() == {"x": total / weights}
    assert meters.means() == {}


@pytest.mark.parametrize("stop", [1, MOST_UNSUMMED - 1, MOST_UNSUMMED, MOST_UNSUMMED + 1, 2 * MOST_UNSUMMED + 100])
def test_sums_resume_with_the_same_bits_at_any_point(stop: int) -> None:
    whole, first, second = Meters(), Meters(), Meters()
    second.add("dropped", 1.0)
    for index, (value, weight) in enumerate(numbers()):
        whole.add("x", value, weight)
        if index == stop:
            second.load_state_dict(first.state_dict())
        (first if index < stop else second).add("x", value, weight)
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize("count", [3, MOST_UNSUMMED + 3])
def test_floats_half_precision_and_weights_on_the_device_share_a_name(count: int) -> None:
    meters = Meters()
    for _ in range(count):
        meters.add("x", 1.0)
        meters.add("x", torch.tensor(2.0, dtype=torch.bfloat16), torch.tensor(2))
        meters.add("x", 3.0, torch.tensor(0.5))
    assert meters.drain() == {"x": 6.5 / 3.5}


def test_a_mean_over_no_places_is_not_logged() -> None:
    meters = Meters()
    meters.add("masked", torch.tensor(0.0), torch.tensor(0))
    meters.add("x", 1.0)
    assert meters.drain() == {"x": 1.0}


def test_the_memory_is_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters_module, "MOST_UNSUMMED", 16)
    meters, skips = Meters(), SkipCounter()

    def add(count: int) -> int:
        tracemalloc.start()
        for _ in range(count):
            meters.add("x", torch.zeros(()), 0.5)
            skips.add(torch.zeros(()))
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    add(10 * MOST_FLAGS)
    assert add(10 * MOST_FLAGS) < 4096


@pytest.mark.parametrize("skipped", [set(), {0}, {MOST_FLAGS - 1}, set(range(MOST_FLAGS - 3, 2 * MOST_FLAGS + 2))])
@pytest.mark.parametrize("count", [1, MOST_FLAGS, MOST_FLAGS + 1, 2 * MOST_FLAGS + 2])
def test_skips_are_counted_in_a_row_over_any_number_of_updates(skipped: set[int], count: int) -> None:
    counter = SkipCounter()
    counter.restore(Skips(5, 2))
    total, streak = 5, 2
    for index in range(count):
        counter.add(torch.tensor(float(index in skipped)))
        total, streak = total + (index in skipped), streak + 1 if index in skipped else 0
    assert counter.read() == (total, streak)
    assert counter.read() == (total, streak)
