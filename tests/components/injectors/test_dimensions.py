"""Parts of values, and dimensions that join the batch."""

import re

import pytest
import torch

from artschool.components.injectors.difference import add, difference_channels
from artschool.components.injectors.fold_dimension import fold_dimension, unfold_dimension
from artschool.components.injectors.select import select, slice_along
from artschool.errors import ConfigError, StateError
from artschool.steps.state import State
from tests.components.examples.example import Example


def test_slices_are_taken_along_any_dimension() -> None:
    x = torch.arange(6).view(1, 2, 3)
    assert select(x, index=1).tolist() == [[3, 4, 5]]  # type: ignore[union-attr]  # one index, one tensor
    assert [part.tolist() for part in select(x, index=[-1, 0], dim=2)] == [[[2, 5]], [[0, 3]]]
    assert [part.tolist() for part in select(x, dim=-1)] == [[[0, 3]], [[1, 4]], [[2, 5]]]


def test_an_index_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="select: index 2 is out of range for dimension 1 of size 2"):
        select(torch.zeros(1, 2, 3), index=[0, 2])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{type: select, in: x, out: [a, b, c]}", r"wrong number of results \(expected 3, got 2\)$"),
        ("{type: select, in: x, index: 0, out: [a, b]}", r"wrong number of results \(expected 2, got one value\)$"),
    ],
)
def test_other_names_than_slices_are_refused(entry: str, message: str) -> None:
    call = Example("injectors", entry, lambda batch: {}).bind(torch.device("cpu"))
    with pytest.raises(StateError, match=message):
        call(State({"x": torch.zeros(2, 2)}, writer="test"))


def test_a_range_of_places_is_cut() -> None:
    x = torch.arange(5).view(1, 5)
    assert slice_along(x, start=1, stop=3).tolist() == [[1, 2]]
    assert slice_along(x, start=-2).tolist() == [[3, 4]]
    assert slice_along(x, stop=-4).tolist() == [[0]]
    assert slice_along(x, stop=99, dim=-1).tolist() == x.tolist()
    with pytest.raises(ConfigError, match="slice: positions 5 to 5 of dimension 1 of size 5 are empty"):
        slice_along(x, start=7)


@pytest.mark.parametrize("dim", [1, 2, 3, -1])
def test_a_folded_dimension_comes_back_to_its_place(dim: int) -> None:
    x = torch.randn(2, 3, 4, 5)
    folded, shape, order = fold_dimension(x, dim=dim)
    assert folded.shape == (
        2 * x.shape[dim],
        *(size for place, size in enumerate(x.shape) if place not in (0, dim % 4)),
    )
    assert torch.equal(folded[:2], x.select(dim, 0))
    assert torch.equal(unfold_dimension(folded, shape, order), x)


def test_a_network_may_change_all_but_the_batch() -> None:
    x = torch.randn(2, 3, 4, 5)
    folded, shape, order = fold_dimension(x)
    assert torch.equal(unfold_dimension(folded.mean(2).repeat(1, 2), shape, order), x.mean(3).repeat(1, 1, 2))
    assert torch.equal(unfold_dimension(folded.sum((1, 2)), shape, order), x.sum((2, 3)))


def test_what_does_not_unfold_is_refused() -> None:
    x = torch.randn(2, 3, 4)
    folded, shape, order = fold_dimension(x, limit=5)
    assert torch.equal(folded, fold_dimension(x)[0][:5])
    message = "expected a batch size of 3 x 2 and at least 1 dimensions, got a tensor of shape (5, 4)"
    with pytest.raises(ConfigError, match=re.escape(message)):
        unfold_dimension(folded, shape, order)
    with pytest.raises(ConfigError, match="fold_dimension: dim must not be 0, the batch dimension"):
        fold_dimension(x, dim=-3)


def test_what_one_step_folds_another_unfolds() -> None:
    state = State({"x": torch.randn(2, 3, 4, requires_grad=True)}, writer="test")
    entries = (
        "{type: fold_dimension, in: x, out: [f, shape, order]}",
        "{type: unfold_dimension, in: [f, shape, order], out: y}",
    )
    for entry in entries:
        Example("injectors", entry, lambda batch: {}).bind(torch.device("cpu"))(state)
        state.keep_only(["x", "f", "shape", "order", "y"])
    assert torch.equal(state.values["y"], state.values["x"])


def test_differences_are_more_channels_and_adding_undoes_them() -> None:
    lq, hq = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 5.0)
    both, difference = difference_channels(lq, hq)
    assert both.flatten().tolist() == [2, 3] and difference.flatten().tolist() == [3]
    assert difference_channels(lq, hq, include_hq=True)[0].flatten().tolist() == [2, 3, 5]
    assert torch.equal(add([lq, difference]), hq)
    assert add([lq, hq, hq]).flatten().tolist() == [12]
