"""The ranges of values that components declare when they are registered, so that a check can compare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Range = tuple[float, float]
"""Smallest and largest value, for images those of black and white. Few values may lie slightly outside."""
Ranges = Mapping[str, Range | None]
"""Ranges by name; None: not known."""
NO_RANGES: Ranges = MappingProxyType({})
OUT = "out"
"""The name of a result among the ranges that an injector or network declares."""
IN = "in"
"""The name of the input among the ranges that a network declares."""


@dataclass(frozen=True)
class Known:
    """What a declaration can depend on.

    Attributes:
        options: The options of the component.
        keys: The range of the key of each parameter; None if it is not known, or if several keys differ.
        networks: What the network of each parameter declares.
        inner: What each nested data set declares.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    keys: Ranges = field(default_factory=dict)
    networks: Mapping[str, Ranges] = field(default_factory=dict)
    inner: Sequence[Ranges] = ()


DeclaredValues = Ranges | Callable[[Known], Ranges]
"""What `register(..., values=...)` takes: ranges by name, or a function that returns them.

A data set declares the keys of its samples, a network `out` and `in`, an injector `out`. Losses, metrics and injectors
declare the parameters whose values must have a range.
"""


def same_as(parameter: str) -> Callable[[Known], Ranges]:
    """The result has the range of the key of a parameter."""
    return lambda known: {OUT: known.keys.get(parameter)}


def input_of(network: str, *parameters: str) -> Callable[[Known], Ranges]:
    """The values of parameters must have the range of the input of a network."""
    return lambda known: dict.fromkeys(parameters, known.networks.get(network, {}).get(IN))


def in_common(ranges: Sequence[Range | None]) -> Range | None:
    """The range of all; None if it is not known, or if they differ."""
    first = ranges[0] if ranges else None
    return first if all(one == first for one in ranges) else None
