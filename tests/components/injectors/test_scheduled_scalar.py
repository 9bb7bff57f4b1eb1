"""Numbers that follow the iteration."""

import pytest
import torch

from artschool.steps.state import State
from tests.components.examples.example import Example


def at(iteration: int, options: str) -> float:
    entry = f"{{type: scheduled_scalar, {options}, out: s}}"
    state = State({}, writer="test")
    Example("injectors", entry, lambda batch: {}, iteration=iteration).bind(torch.device("cpu"))(state)
    return float(state.values["s"])


@pytest.mark.parametrize(("iteration", "value"), [(0, 10), (20, 10), (45, 5.5), (70, 1), (999, 1)])
def test_linear_goes_there_once_and_stays(iteration: int, value: float) -> None:
    assert at(iteration, "initial: 10, final: 1, iterations: 50, start: 20") == value


def test_linear_may_rise() -> None:
    assert at(25, "initial: 0, final: 2, iterations: 100") == 0.5


@pytest.mark.parametrize(("iteration", "value"), [(0, 3), (4, 3), (6, 2), (8, 1), (10, 2), (12, 3), (16, 1)])
def test_cosine_swings_there_and_back(iteration: int, value: float) -> None:
    assert at(iteration, "kind: cosine, initial: 3, final: 1, iterations: 8, start: 4") == pytest.approx(value)
