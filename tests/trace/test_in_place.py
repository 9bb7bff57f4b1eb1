"""A value that a component only reads stays as it is, whatever way the component has of changing it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import datasets, injectors, losses, metrics, networks
from artschool.registry.signature import Network
from tests.trace.traced_parts import traced

PARTS = Path(__file__)
TEXT = """
name: in_place
data: {train: {type: in_place_rows, batch_size: 4}}
networks: {net: {type: traced_linear}, hasty: {type: in_place_hasty, frozen: true}}
steps:
  main:
    trains: net
    optimizer: {type: adam, lr: 0.1}
    injectors:
      half: {type: in_place_half, in: x, out: part}
      call: {type: forward, network: net, in: x, out: y}
    losses:
      mean: {type: mean, in: y, weight: 1.0}
evaluate:
  held:
    data: train
    injectors: {call: {type: forward, network: net, in: x, out: y}}
    metrics: {error: {type: in_place_error, in: [y, x]}}
train: {iterations: 10, device: cpu}
"""


def assigned(x: Tensor) -> None:
    x[:, 0] = 0


def masked(x: Tensor) -> None:
    x[x > 0] = 0


def without_gradient(x: Tensor) -> None:
    with torch.no_grad():
        x += 1


WAYS: dict[str, Callable[[Tensor], object]] = {
    "itself": lambda x: x.add_(1),
    "assigned": assigned,
    "masked": masked,
    "without_gradient": without_gradient,
    "detached": lambda x: x.detach().clamp_(0, 1),
    "view": lambda x: x.t()[0].zero_(),
    "data": lambda x: x.data.mul_(2),
    "out": lambda x: torch.add(x.detach(), 1, out=x.detach()),
    "many": lambda x: torch._foreach_mul_([x], 2.0),
    "dropout": lambda x: nn.functional.dropout(x, 0.5, inplace=True),
}


@datasets.register("in_place_rows")
class Rows:
    """Rows of three numbers with a name."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": torch.full((3,), float(index)), "name": f"row {index}"}


@networks.register("in_place_hasty")
def hasty() -> nn.Module:
    """Spares memory at its beginning, at the cost of its input."""
    return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 3))


@injectors.register("in_place_half")
def half(x: Tensor) -> Tensor:
    """The first two columns, which share the memory of all."""
    return x[:, :2]


@injectors.register("in_place_changer")
def changer(x: Tensor, *, way: str) -> Tensor:
    """Changes what it reads, and writes what it has become."""
    WAYS[way](x)
    return x


@injectors.register("in_place_careful")
def careful(x: Tensor) -> Tensor:
    """Changes a copy."""
    return x.clone().add_(1).relu_()


@injectors.register("in_place_difference")
def difference(network: Network, x: Tensor) -> Tensor:
    """What a network makes of a larger value, beside the value."""
    larger = x + 1
    result: Tensor = network(larger)
    return result - larger


@injectors.register("in_place_namer")
def namer(name: Tensor) -> Tensor:
    """Overwrites a name in the list of the batch."""
    name[0] = name[-1]
    return name


@losses.register("in_place_loss")
def loss(x: Tensor, y: Tensor) -> Tensor:
    """Changes its target, where it is a plain value that no gradient needs."""
    y.detach().sub_(x.detach().mean())
    return (x - y).square().mean()


@losses.register("in_place_reader")
def reads_values(x: Tensor) -> Tensor:
    """Needs values, and changes what it reads."""
    return x.add_(1).mean() * float(x.detach().sum() >= 0)


@metrics.register("in_place_error")
def error(x: Tensor, y: Tensor, *, hasty: bool = False) -> Tensor:
    """The error of each row."""
    return (y.sub_(x) if hasty else y - x).square().mean(1)


def said(*overrides: str) -> list[str]:
    """The lines of all faults, without their places."""
    with pytest.raises(ConfigError) as caught:
        traced(*overrides, text=TEXT)
    faults = caught.value.faults
    return [line for fault in faults for line in (f"{fault.path}: {fault.message}", *fault.hint.split("\n"))]


def line_of(text: str) -> str:
    """Where a line of this file is, as a fault names it."""
    number = next(n for n, line in enumerate(PARTS.read_text().splitlines(), 1) if line.strip() == text)
    return f"at {PARTS}:{number}: {text}"


def test_a_component_that_changes_a_copy_is_sound() -> None:
    found = traced("steps.main.injectors.more={type: in_place_careful, in: x, out: z}", text=TEXT)
    assert found.keys["z"].writer == "steps.main.injectors.more"


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_changing_a_value_is_found(way: str) -> None:
    lines = said(f"steps.main.injectors.more={{type: in_place_changer, way: {way}, in: y, out: z}}")
    assert (lines[0], lines[-1]) == (
        "steps.main.injectors.more: changes 'y' in place, so whatever else reads the key gets another value",
        "Fix: let it change a copy.",
    )


def test_values_that_share_memory_with_it_are_named_too() -> None:
    lines = said("steps.main.injectors.more={type: in_place_changer, way: assigned, in: part, out: z}")
    assert lines[0].startswith("steps.main.injectors.more: changes 'x' in place")
    assert lines[1:] == [line_of("x[:, 0] = 0"), "Fix: let it change a copy."]


def test_a_network_is_named_with_its_module() -> None:
    assert said("steps.main.injectors.more={type: forward, network: hasty, in: x, out: z}") == [
        "steps.main.injectors.more: changes 'x' in place in hasty.0 (ReLU), so whatever else reads the key gets "
        "another value",
        "Fix: let it change a copy.",
    ]


def test_a_network_that_changes_an_input_without_a_key_is_found() -> None:
    assert said("steps.main.injectors.more={type: in_place_difference, network: hasty, in: x, out: z}") == [
        "steps.main.injectors.more: hasty changes its input in place in hasty.0 (ReLU), so what is computed from the "
        "input afterwards is wrong",
        line_of("result: Tensor = network(larger)"),
        "Fix: let it change a copy.",
    ]
    traced("steps.main.injectors.more={type: in_place_difference, network: net, in: x, out: z}", text=TEXT)


def test_a_list_that_is_changed_is_found() -> None:
    assert said("steps.main.injectors.more={type: in_place_namer, in: name, out: z}") == [
        "steps.main.injectors.more: changes 'name' in place, so whatever else reads the key gets another value",
        "Fix: let it change a copy.",
    ]


def test_a_loss_is_found_though_no_gradient_needs_the_value() -> None:
    lines = said("steps.main.losses.more={type: in_place_loss, in: [y, x], weight: 1.0}")
    assert lines[0].startswith("steps.main.losses.more: changes 'x' in place,")
    assert lines[1] == line_of("y.detach().sub_(x.detach().mean())")


def test_a_metric_is_found_in_a_trace_of_its_evaluation() -> None:
    lines = said("evaluate.held.metrics.error.hasty=true")
    assert lines[0].startswith("evaluate.held.metrics.error: changes 'x' in place,")
    assert len(lines) == 3


def test_a_micro_batch_with_values_is_watched_as_well() -> None:
    lines = said("steps.main.losses.more={type: in_place_reader, in: x, weight: 1.0}")
    assert lines[0].startswith("steps.main.losses.more: changes 'x' in place,")
