"""How the annotations of a component decide what stands in the file and what is given to it at run time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from artschool.build.bind import Binder
from artschool.config.component import Component
from artschool.config.component_reader import ComponentReader
from artschool.config.source import read_text
from artschool.engine.meters import Meters
from artschool.engine.train_context import TrainContext
from artschool.registry import REGISTRIES
from artschool.registry.read_signature import read_signature
from artschool.registry.signature import Context, Dataset, Injector, Loss, Metric, Network
from artschool.wording.names import allowed

NETWORKS = {"gen": nn.Identity(), "critic": nn.Flatten()}


pytestmark = pytest.mark.usefixtures("registries")


@dataclass
class Bound:
    """What became of an entry of the file, and what its component received with 1.0, 2.0, ... for keys."""

    said: list[str]
    reads: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    received: Any = None


def bind(
    target: Callable[..., Any], entry: str, *, kind: str = "injectors", context: TrainContext | None = None
) -> Bound:
    """Register, read an entry of the file, and call what it is bound to."""
    REGISTRIES[kind]._items.pop("probe", None)
    REGISTRIES[kind].register("probe", target)
    reader = ComponentReader()
    component = reader.component(kind, read_text(f"{{type: probe, {entry}}}", "x.yml"), "steps.gen.injectors.probe")
    if component.entry is None or reader.faults:
        return Bound([str(fault) for fault in reader.faults])
    return Bound(
        [], [use.name for use in component.reads], [use.name for use in component.networks], call(component, context)
    )


def call(component: Component, context: TrainContext | None = None) -> Any:
    context = context or TrainContext(torch.device("cpu"), Meters())
    function, keys = Binder(NETWORKS, context).function(component)
    numbers = {use.name: float(number) for number, use in enumerate(component.reads, 1)}

    def value(names: Any) -> Any:
        if isinstance(names, list):
            return [value(name) for name in names]
        return numbers[names] if isinstance(names, str) else names

    return function(**{parameter: value(names) for parameter, names in keys.items()})


def a_key(x: Tensor) -> Any:
    return x


def keys(x: list[Tensor]) -> Any:
    return x


def perhaps_a_key(x: Tensor | None = None) -> Any:
    return x


def number_or_key(x: Tensor, *, scale: float | Tensor = 0.5) -> Any:
    return x, scale


def keys_or_numbers(x: list[Tensor | float | None]) -> Any:
    return x


def named_keys(*, x: dict[str, Tensor]) -> Any:
    return sorted(x)


def network(net: Network, x: Tensor) -> Any:
    return net, x


def perhaps_a_network(x: Tensor, *, net: Network | None = None) -> Any:
    return net


def networks_(nets: list[Network], x: Tensor) -> Any:
    return nets


def options(
    x: Tensor,
    *,
    whole: int = 1,
    share: Annotated[float, Field(ge=0, le=1)] = 0.5,
    kind: Literal["a", "b"] = "a",
    flag: bool = False,
    pair: tuple[int, float] = (1, 2.0),
    table: dict[str, list[int]] | None = None,
    file: Path | None = None,
    model: int = 3,
    json: str = "j",
) -> Any:
    return whole, share, kind, flag, pair, table, file, model, json


@pytest.mark.parametrize(
    ("target", "entry", "reads", "received"),
    [
        (a_key, "in: lq", ["lq"], 1.0),
        (a_key, "x: lq", ["lq"], 1.0),
        (keys, "in: [lq, hq]", ["lq", "hq"], [1.0, 2.0]),
        (keys, "in: lq", ["lq"], [1.0]),
        (perhaps_a_key, "in: lq", ["lq"], 1.0),
        (perhaps_a_key, "x: null", [], None),
        (perhaps_a_key, "every: 1", [], None),
        (number_or_key, "in: lq", ["lq"], (1.0, 0.5)),
        (number_or_key, "in: lq, scale: 3", ["lq"], (1.0, 3.0)),
        (number_or_key, "in: lq, scale: sigma", ["lq", "sigma"], (1.0, 2.0)),
        (keys_or_numbers, "in: [lq, 0.5, null, hq]", ["lq", "hq"], [1.0, 0.5, None, 2.0]),
        (perhaps_a_network, "in: lq", ["lq"], None),
    ],
)
def test_what_an_annotation_is_in_the_file_and_at_run_time(
    target: Callable[..., Any], entry: str, reads: list[str], received: object
) -> None:
    assert bind(target, f"{entry}, out: y") == Bound([], reads, [], received)


def test_a_network_is_a_name_in_the_file_and_the_module_at_run_time() -> None:
    bound = bind(network, "net: gen, in: lq, out: y")
    assert (bound.networks, bound.reads) == (["gen"], ["lq"])
    assert bound.received == (NETWORKS["gen"], 1.0)
    assert bind(networks_, "nets: [gen, critic], in: lq, out: y").received == list(NETWORKS.values())


def test_keys_by_name_are_a_mapping() -> None:
    REGISTRIES["injectors"].register("probe", named_keys)
    component = ComponentReader().component(
        "injectors", read_text("{type: probe, x: {a: lq, b: hq}, out: y}", "x"), "p"
    )
    assert [use.name for use in component.reads] == ["lq", "hq"]


def test_anything_else_is_an_option_of_that_type() -> None:
    assert bind(options, "in: lq, out: y").received == (1, 0.5, "a", False, (1, 2.0), None, None, 3, "j")
    entry = "whole: 1e3, share: 1, kind: b, flag: true, pair: [2, 3], table: {a: [1, 2]}, file: a/b, model: 4, json: k"
    received = bind(options, f"in: lq, out: y, {entry}").received
    assert received == (1000, 1.0, "b", True, (2, 3.0), {"a": [1, 2]}, Path("a/b"), 4, "k")
    assert list(map(type, received[:2])) == [int, float]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("whole: 1.5", "x.yml:1:38: {}.whole: expected a whole number, got 1.5"),
        ("share: 2", "x.yml:1:38: {}.share: expected 1 or less, got 2"),
        ("kind: c", "x.yml:1:37: {}.kind: expected 'a' or 'b', got text 'c'"),
        ("flag: 1", "x.yml:1:37: {}.flag: expected true or false, got 1"),
        ("pair: [1]", "x.yml:1:37: {}.pair: expected at least 2 items, got a list of 1"),
        ("table: {a: [b]}", "x.yml:1:43: {}.table.a.0: expected a whole number, got text 'b'"),
        ("table: 3", "x.yml:1:38: {}.table: expected a mapping, got 3"),
    ],
)
def test_an_option_of_another_type_is_a_fault(entry: str, said: str) -> None:
    bound = bind(options, f"in: lq, out: y, {entry}")
    assert bound.said == [said.format("steps.gen.injectors.probe")]


class Scaled(nn.Module):
    def __init__(self, factor: float, inner: Network) -> None:
        super().__init__()
        self.factor, self.inner = factor, inner

    def forward(self, x: Tensor, offset: float = 0.0) -> Any:
        return self.factor * x + offset


def test_a_module_takes_options_when_built_and_keys_when_called() -> None:
    bound = bind(Scaled, "factor: 3, inner: gen, in: lq, offset: 0.5, out: y")
    assert (bound.reads, bound.networks, bound.received) == (["lq"], ["gen"], 3.5)


def nesting(inner: Injector, measure: Loss, x: Tensor, *, score: Metric | None = None) -> Any:
    return inner(x=x), measure(x, 2.0), score


def doubled(x: Tensor, *, by: float = 2.0, net: Network | None = None) -> Tensor:
    return x * by


def difference(fake: Tensor, real: Tensor, *, power: int = 1) -> Tensor:
    return (fake - real) ** power


def test_a_nested_component_gets_its_keys_from_what_holds_it() -> None:
    REGISTRIES["injectors"].register(doubled)
    REGISTRIES["losses"].register(difference)
    inner = "inner: {type: doubled, by: 5, net: critic}, measure: {type: difference, power: 2}"
    bound = bind(nesting, f"{inner}, in: lq, out: y")
    assert bound == Bound([], ["lq"], ["critic"], (5.0, 1.0, None))


def test_a_fault_inside_a_nested_component_has_its_place() -> None:
    REGISTRIES["injectors"].register(doubled)
    REGISTRIES["losses"].register(difference)
    bound = bind(nesting, "inner: {type: doubled, bx: 5}, measure: {type: differenc}, in: lq, out: y")
    assert bound.said == [
        "x.yml:1:38: steps.gen.injectors.probe.inner.bx: unknown option\n    doubled takes: by, net.",
        "x.yml:1:62: steps.gen.injectors.probe.measure.type: unknown loss 'differenc'\n"
        f"    {allowed('Available losses', 'differenc', REGISTRIES['losses'].names())}",
    ]


class Sample(TypedDict):
    lq: Tensor
    name: str


class Pictures:
    def __init__(self, *, folder: str = ".") -> None: ...

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError


class Joined:
    def __init__(self, first: Dataset, second: Dataset) -> None: ...

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        raise NotImplementedError


def test_a_data_set_says_what_it_yields() -> None:
    assert read_signature(Pictures).yields == ("lq", "name")
    joined = read_signature(Joined)
    assert (joined.yields, [p.nested_kind for p in joined.parameters]) == (None, ["datasets", "datasets"])

    def factory(*, folder: str) -> Pictures:
        return Pictures(folder=folder)

    assert read_signature(factory).yields == ("lq", "name")


def test_context_is_not_in_the_file_and_logs_under_the_component() -> None:
    def logs(x: Tensor, context: Context) -> Any:
        context.log("mean", x)
        return context.iteration, context.training, context.device

    meters = Meters()
    context = TrainContext(torch.device("cpu"), meters)
    context.iteration, context.training = 7, True
    bound = bind(logs, "in: lq, out: y", context=context)
    assert bound.received == (7, True, torch.device("cpu"))
    assert meters.drain() == {"gen/probe/mean": 1.0}
    said = bind(logs, "in: lq, context: 3, out: y").said
    assert said == [
        "x.yml:1:23: steps.gen.injectors.probe.context: unknown option\n"
        "    probe takes: after, before, every, in, no_grad, once, only, out, precision, x."
    ]


@pytest.mark.parametrize(
    ("returns", "num_outputs"),
    [(Tensor, 1), (tuple[Tensor, Tensor], 2), (tuple[Tensor, ...], None), (Any, None), (list[Tensor], None)],
)
def test_the_number_of_results_comes_from_what_is_returned(returns: Any, num_outputs: int | None) -> None:
    def function(x: Tensor) -> Any: ...

    function.__annotations__["return"] = returns
    assert read_signature(function, calls=("__call__",)).num_outputs == num_outputs


def test_somebody_elses_parameters_without_annotations_are_read_from_their_defaults() -> None:
    def theirs(x: Tensor, size=3, rate=0.5, name=None, **rest): ...  # type: ignore[no-untyped-def]  # the point of the test

    parameters = {p.name: p.annotation for p in read_signature(theirs, calls=("__call__",)).parameters}
    assert list(parameters) == ["x", "size", "rate", "name"]
    assert (parameters["rate"], parameters["name"]) == (float, Any)
    assert bind(theirs, "in: lq, out: y, size: x").said == [
        "x.yml:1:37: steps.gen.injectors.probe.size: expected a whole number, got text 'x'"
    ]
