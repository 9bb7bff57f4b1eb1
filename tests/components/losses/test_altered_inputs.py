"""Losses that call the network again: on a turned, a shifted, and its own shrunk input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.components.losses.geometric import geometric
from artschool.components.losses.recursive import recursive
from artschool.components.losses.translational import translational
from artschool.errors import ConfigError
from tests.goldens import Case, load_cases, loss
from tests.goldens import __file__ as goldens_file

CASES = {case.name: case for case in load_cases(Path(goldens_file).parent / "goldens")}


class Recorder(nn.Module):
    """Twice as large by nearest neighbour, plus `ramp` across the rows; it keeps what it was called with."""

    def __init__(self, ramp: float = 0.0) -> None:
        super().__init__()
        self.ramp = ramp
        self.factor = nn.Parameter(torch.ones(()))
        self.calls: list[tuple[Any, ...]] = []

    def forward(self, *inputs: Any) -> Any:
        self.calls.append(inputs)
        x = next(value for value in inputs if isinstance(value, Tensor) and value.dim() == 4)
        made: Tensor = F.interpolate(x, scale_factor=2.0, mode="nearest") * self.factor
        return made + self.ramp * torch.arange(made.shape[-1])


class Second(Recorder):
    """Returns two results, the second of which is the image."""

    def forward(self, *inputs: Any) -> Any:
        return "first", super().forward(*inputs)


def seeds_until(done: Callable[[], bool]) -> Any:
    """Seeds, until something has happened; at most 99."""
    for seed in range(99):
        if done():
            return
        torch.manual_seed(seed)
        yield seed
    raise AssertionError("not within 99 draws")


@pytest.mark.parametrize("name", ["losses/geometric", "losses/translational"])
def test_every_value_of_the_reference_is_drawn(name: str) -> None:
    case = CASES[name]
    expected = case.data["value_one_of"]
    left = {*expected}
    for _ in seeds_until(lambda: not left):
        problems = [*loss(Case({**case.data, "value_one_of": [next(iter(left))]}, case.tensors, case.toys))]
        if not problems:
            left.pop()
        assert [*loss(case)] == []


def test_a_network_that_turns_with_its_input_has_no_geometric_loss() -> None:
    x = torch.randn(2, 1, 3, 3)
    network = Recorder()
    inputs = []
    for seed in range(20):
        torch.manual_seed(seed)
        assert geometric(network, x, network(x)).item() == 0.0
        inputs.append(network.calls[-1][0])
    changes = [x.flip(2), x.flip(3), *(x.rot90(quarters, (2, 3)) for quarters in (1, 2, 3))]
    assert all(any(torch.equal(seen, change) for change in changes) for seen in inputs)
    assert all(any(torch.equal(seen, change) for seen in inputs) for change in changes)


def test_a_network_that_does_not_turn_is_told() -> None:
    network, x = Recorder(ramp=1.0), torch.zeros(1, 1, 1, 1)
    output = network(x)  # [[0, 1], [0, 1]]
    values = set()
    for seed in range(20):
        torch.manual_seed(seed)
        values.add(geometric(network, x, output).item())
    # Up-down it stays; left-right or by two quarters it is [[1, 0], [1, 0]]; by one or three half of it differs.
    assert values == {0.0, 1.0, 0.5}


def test_a_flat_network_agrees_with_itself_wherever_the_patch_was_cut() -> None:
    image, network = torch.randn(2, 1, 5, 5), Recorder()
    left, right = slice(0, 4), slice(1, 5)
    corners = (image[..., left, right], image[..., right, left], image[..., right, right])
    output = network(image[..., left, left])
    seen: list[int] = []
    for _ in seeds_until(lambda: {*seen} == {0, 1, 2}):
        assert translational(network, output, *corners, overlap=6).item() == 0.0
        seen.append(next(i for i, corner in enumerate(corners) if corner is network.calls[-1][0]))
    # Of another overlap the places do not match.
    assert translational(network, output, *corners, overlap=4).item() > 0.1


def test_an_overlap_as_large_as_the_output_is_refused() -> None:
    x = torch.zeros(1, 1, 2, 2)
    with pytest.raises(
        ConfigError, match=r"^translational: overlap must be less than the output.s size of 4 pixels, got 4$"
    ):
        translational(Recorder(), torch.zeros(1, 1, 4, 4), x, x, x, overlap=4)


def test_a_network_is_called_on_its_own_output_as_often_as_asked() -> None:
    network = Recorder()
    output = torch.arange(4.0).repeat_interleave(2).expand(1, 1, 8, 8)
    output = torch.maximum(output, output.mT)  # constant on blocks of 2 x 2
    assert recursive(network, output, scale_factor=0.5, depth=3).item() == 0.0
    assert len(network.calls) == 3
    # Each call adds 0, 1, 2, ... from left to right, 3.5 on average; the second one adds it to what is shrunk of
    # the first, which has 0, 2, 4 and 6 of it left: 3 on average.
    assert recursive(Recorder(ramp=1.0), output, scale_factor=0.5).item() == 3.5
    assert recursive(Recorder(ramp=1.0), output, scale_factor=0.5, depth=2).item() == 6.5


def test_other_inputs_stay_where_they_are_and_a_result_is_chosen() -> None:
    network, x, other = Second(), torch.randn(1, 1, 2, 2), torch.zeros(3)
    output = network(x)[1]
    for made in (
        geometric(network, x, output, [other, None], input_index=1, output_index=1),
        translational(network, output, x, x, x, [other, None], overlap=1, input_index=1, output_index=1),
        recursive(network, output, [other, None], scale_factor=0.5, input_index=1, output_index=1),
    ):
        assert made.isfinite()
    assert len(network.calls) == 4
    for call in network.calls[1:]:
        assert call[0] is other and call[2] is None and call[1].shape == x.shape


def test_a_single_result_is_taken_whatever_index_is_given() -> None:
    network, x = Recorder(), torch.randn(2, 1, 2, 2)
    assert geometric(network, x, network(x), output_index=0).item() == 0.0


def test_several_results_have_to_be_chosen_from() -> None:
    x = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ConfigError, match=r"^the network returns 2 results\. Fix: choose one by `output_index`$"):
        geometric(Second(), x, x)


@pytest.mark.parametrize("detach", [False, True])
def test_the_altered_call_learns_unless_it_is_detached(detach: bool) -> None:
    network, x = Recorder(), torch.randn(1, 1, 2, 2)
    output = torch.randn(1, 1, 4, 4, requires_grad=True)
    for value in (
        geometric(network, x, output, detach=detach),
        translational(network, output, x, x, x, overlap=2, detach=detach),
    ):
        own, others = torch.autograd.grad(value, [output, network.factor], allow_unused=True)
        assert own is not None
        assert (others is None) is detach
