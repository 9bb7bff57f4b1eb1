"""Ranges on the command line."""

from __future__ import annotations

import pytest

from artschool.errors import ConfigError
from artschool.sweep.parameters import Parameter, parameter_of, short_names
from artschool.sweep.settings import Metric, read_arguments


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("a.lr=log(1e-4,1e-2)", "log", ("1e-4", "1e-2")),
        ("a.x=uniform( 0 , 1 )", "uniform", ("0", "1")),
        ("a.n=int(1,8)", "int", ("1", "8")),
        ("a.b=choice([0.9, 0.99], [0.5, 0.9])", "choice", ("[0.9, 0.99]", "[0.5, 0.9]")),
        ("a.o=choice({type: adamw, lr: 1e-3}, {type: sgd, lr: 1})", "choice", ("{type: adamw, lr: 1e-3}",)),
        ("a.o=choice('a, b', c)", "choice", ("'a, b'", "c")),
    ],
)
def test_a_range_is_read(text: str, kind: str, values: tuple[str, ...]) -> None:
    parameter = parameter_of(text)
    assert parameter is not None
    assert parameter.kind == kind and parameter.values[: len(values)] == values
    assert parameter_of(str(parameter)) == parameter


@pytest.mark.parametrize("text", ["train.iterations=100", "name=log", "a=[choice(1, 2)]"])
def test_anything_else_is_an_override(text: str) -> None:
    assert parameter_of(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x=log(0, 1)", "above 0"),
        ("x=uniform(2, 1)", "the lowest value first, got 2 and 1"),
        ("x=int(1, 2.5)", "two whole numbers"),
        ("x=uniform(1)", "two numbers"),
        ("x=uniform(0, inf)", "lowest value first"),
        ("x=choice(1)", "two or more different values"),
        ("x=choice(1, 1)", "two or more different values"),
        ("x=choice([1, 2)", "commas between them"),
    ],
)
def test_a_wrong_range_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parameter_of(text)


def test_a_path_has_one_range() -> None:
    with pytest.raises(ConfigError, match="a already has a range"):
        read_arguments(["a=int(1, 2)", "b=3", "a=int(3, 4)"])
    assert read_arguments(["b=3", "a=int(1, 2)"]) == ((Parameter("a", "int", ("1", "2")),), ("b=3",))


def test_a_column_has_the_shortest_name_that_is_clear() -> None:
    paths = ["steps.gen.optimizer.lr", "steps.critic.optimizer.lr", "data.train.batch_size", "seed"]
    assert list(short_names(paths).values()) == ["gen.optimizer.lr", "critic.optimizer.lr", "batch_size", "seed"]


def test_a_metric_has_a_direction() -> None:
    assert Metric.of("held/psnr:max") == Metric("held/psnr", "max")
    for text in ("held/psnr", "held/psnr:up", ":max"):
        with pytest.raises(ConfigError, match="expected NAME:min or NAME:max"):
            Metric.of(text)
