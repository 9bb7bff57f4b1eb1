"""An injector on one slice after the other."""

from functools import partial

import torch
from torch import Tensor, nn

from artschool.components.injectors.for_each import for_each
from artschool.components.injectors.grey import grey
from artschool.steps.state import State
from tests.components.examples.example import Example


def test_each_slice_is_given_alone_and_results_are_stacked_in_its_place() -> None:
    frames = torch.randn(2, 5, 3, 4, 4)
    seen: list[tuple[int, ...]] = []

    def look(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return grey(x)

    assert torch.equal(for_each(frames, injector=look), frames.mean(2, keepdim=True).expand_as(frames))
    assert seen == [(2, 3, 4, 4)] * 5


def test_another_dimension_and_results_of_several_shapes() -> None:
    x = torch.arange(6.0).view(2, 3)
    assert torch.equal(for_each(x, injector=partial(torch.mul, other=2), dim=0), x * 2)
    lengths = iter((1, 2, 3))
    parts = for_each(x, injector=lambda part: part[: next(lengths)], as_list=True)
    assert [len(part) for part in parts] == [1, 2, 2]


def test_items_of_a_list_are_taken_as_they_are() -> None:
    items = [torch.zeros(2), torch.ones(2)]
    result = for_each(items, injector=torch.clone, dim=0)  # type: ignore[arg-type]  # a key may hold a list
    assert result.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_several_results_are_joined_each_for_itself() -> None:
    low, high = for_each(torch.arange(6.0).view(1, 2, 3), injector=lambda x: (x.amin(1), x.amax(1)))
    assert low.tolist() == [[0.0, 3.0]] and high.tolist() == [[2.0, 5.0]]


def test_a_network_that_stands_inside_is_called() -> None:
    entry = "{type: for_each, in: x, injector: {type: forward, network: net}, out: z}"
    call = Example("injectors", entry, lambda batch: {}, {"net": nn.Flatten}).bind(torch.device("cpu"))
    state = State({"x": torch.ones(2, 3, 4, 5)}, writer="test")
    call(state)
    assert state.values["z"].shape == (2, 3, 20)


def test_an_injector_of_a_list_gets_one() -> None:
    entry = "{type: for_each, in: x, injector: {type: concatenate, dim: 0}, out: z}"
    call = Example("injectors", entry, lambda batch: {}).bind(torch.device("cpu"))
    state = State({"x": torch.arange(4.0).view(2, 2)}, writer="test")
    call(state)
    assert torch.equal(state.values["z"], state.values["x"])
