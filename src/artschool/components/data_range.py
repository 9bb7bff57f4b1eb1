"""The option `data_range` of losses and metrics of images."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from artschool.registry.ranges import Known, Range, Ranges
from artschool.registry.signature import Positive


def _ascending(value: Range) -> Range:
    if value[0] >= value[1]:
        raise PydanticCustomError("ascending", "two numbers, the smaller one first")
    return value


DataRange: TypeAlias = Positive | Annotated[tuple[float, float], AfterValidator(_ascending)]
"""Smallest and largest possible pixel value, or the largest one if the smallest is 0."""


def limits(data_range: DataRange) -> Range:
    """The smallest and the largest value."""
    return data_range if isinstance(data_range, tuple) else (0.0, data_range)


def in_data_range(known: Known) -> Ranges:
    """`fake` and `real` must have the range of the option `data_range`."""
    return dict.fromkeys(("fake", "real"), limits(known.options["data_range"]))
