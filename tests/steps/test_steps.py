"""The parts of a plan by themselves: a state is written once, a step skips what lacks a key, `once` computes once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from artschool.config.when import ALWAYS
from artschool.errors import StateError
from artschool.faults import Place
from artschool.steps.call import InjectorCall
from artschool.steps.state import State
from artschool.steps.step import Step


def test_a_second_writer_is_told_about_the_first() -> None:
    state = State({"x": 1}, "data.train")
    state.write("y", 2, writer="steps.a")
    with pytest.raises(
        StateError, match=r"^steps\.b: key 'x' is already written by data\.train\. Fix: rename one of the keys$"
    ):
        state.write("x", 3, writer="steps.b")
    with pytest.raises(
        StateError, match=r"^steps\.b: key 'y' is already written by steps\.a\. Fix: rename one of the keys$"
    ):
        state.write("y", 3, writer="steps.b")
    assert state.values == {"x": 1, "y": 2}


@pytest.mark.parametrize(("keys", "runs"), [("xy", True), ("x", False), ("y", False), ("", False)])
def test_a_step_runs_where_all_that_it_requires_is_there(keys: str, runs: bool) -> None:
    call = InjectorCall("steps.s.injectors.i", Place("s.yml"), lambda: 1, {}, ALWAYS, out="out")
    state = State(dict.fromkeys(keys), "data.train")
    Step("s", ALWAYS, [call], [], frozenset(), requires=["x", "y"]).forward(state, 0, lambda name, value: None)
    assert ("out" in state.values) is runs


def test_once_gives_later_parts_the_values_of_the_first_without_its_gradient() -> None:
    def doubled(x: Tensor) -> list[Tensor]:
        return [2 * x]

    call = InjectorCall("steps.s.injectors.i", Place("s.yml"), doubled, {"x": "x"}, ALWAYS, out=["y"], once=True)
    states = [State({"x": torch.full((1,), float(i), requires_grad=True)}, "data.train", i) for i in range(3)]
    for state in states:
        call(state)
    assert [state.values["y"].item() for state in states] == [0, 0, 0]
    assert [state.values["y"].requires_grad for state in states] == [True, False, False]
