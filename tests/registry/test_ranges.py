"""When measured values contradict a range."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import metrics, networks
from artschool.registry.ranges import Range, contradicts, differ, measured, usual


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((-1.0, 1.0), (0.0, 1.0)),
        ((0.0, 255.0), (0.0, 1.0)),
        ((-2.1, 2.6), (0.0, 1.0)),
        ((0.0, 1.0), (-1.0, 1.0)),
        ((0.01, 0.99), (0.0, 255.0)),
        ((float("nan"), float("nan")), (0.0, 1.0)),
    ],
)
def test_values_that_contradict_a_range(found: Range, expected: Range) -> None:
    assert contradicts(found, expected)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((0.0, 1.0), (0.0, 1.0)),
        ((-0.06, 1.05), (0.0, 1.0)),
        ((0.0, 0.2), (0.0, 1.0)),
        ((-0.4, 0.3), (-1.0, 1.0)),
        ((3.0, 90.0), (0.0, 255.0)),
    ],
)
def test_values_that_may_have_a_range(found: Range, expected: Range) -> None:
    assert not contradicts(found, expected)


def test_the_usual_range_is_recognized() -> None:
    assert usual((-0.98, 0.97)) == (-1.0, 1.0)
    assert usual((2.0, 250.0)) == (0.0, 255.0)
    assert usual((-7.0, 3.0)) == (-7.0, 3.0)


def test_ranges_differ_by_more_than_rounding() -> None:
    assert not differ((0.0, 1.0), (1e-7, 1.0 - 1e-7))
    assert differ((0.0, 1.0), (0.0, 1.001))


def test_only_floating_point_numbers_are_measured() -> None:
    assert measured(torch.tensor([[0.5, -2.0]])) == (-2.0, 0.5)
    assert measured(torch.tensor([1])) is None
    assert measured(torch.empty(0)) is None


def test_a_declaration_names_what_the_component_has(registries: None) -> None:
    with pytest.raises(ConfigError) as error:

        @metrics.register(values={"fale": (0.0, 1.0)})
        def own(fake: Tensor, real: Tensor) -> Tensor:
            return fake

    assert str(error.value) == (
        "metric 'own' cannot be registered: values: unknown name 'fale'. Available names: fake, real. "
        "Did you mean 'fake'?"
    )
    with pytest.raises(
        ConfigError, match=r"values: 'out': expected two numbers, the smaller one first, got \(1.0, 0.0\)$"
    ):
        networks.register("backwards", nn.Identity, values={"out": (1.0, 0.0)})
