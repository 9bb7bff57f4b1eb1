"""Samples that break the range that their data set declares."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from artschool.data.declared_values import DeclaredValues
from artschool.errors import DataError


def held(sample: Any) -> Any:
    return DeclaredValues([sample], {"x": (0.0, 1.0)}, "own")[0]


@pytest.mark.parametrize("value", [0.0, 1.0, -0.01, 1.01], ids=str)
def test_a_sample_in_its_range_is_passed_on(value: float) -> None:
    sample = {"x": torch.tensor([value, 0.5])}
    assert held(sample) is sample


@pytest.mark.parametrize(
    ("value", "shown"), [(-1.0, "-1..0.5"), (255.0, "0.5..255"), (math.inf, "0.5..inf"), (math.nan, "nan..nan")]
)
def test_a_sample_outside_its_range_is_bad(value: float, shown: str) -> None:
    with pytest.raises(DataError) as error:
        held({"x": torch.tensor([value, 0.5])})
    assert str(error.value) == f"'x' has values in {shown}, but own declares 0..1"


@pytest.mark.parametrize(
    "sample", [{"y": torch.tensor([9.0])}, {"x": torch.tensor([9])}, {"x": torch.empty(0)}, {"x": "text"}, None, [1]]
)
def test_what_has_no_range_is_not_judged(sample: Any) -> None:
    assert held(sample) is sample


def test_the_length_is_that_of_the_data_set() -> None:
    assert len(DeclaredValues([1, 2, 3], {}, "own")) == 3
