"""The ranges of values that components declare when they are registered, so that a check can compare them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from artschool.errors import ConfigError
from artschool.wording.names import allowed

Range = tuple[float, float]
"""Smallest and largest value, for images those of black and white. Few values may lie slightly outside."""
Ranges = Mapping[str, Range | None]
"""Ranges by name; None: not known."""
TOLERANCE = 1e-4
"""Fraction of a range by which ends may differ through rounding."""
OVERSHOOT = 0.1
"""Fraction of a range by which measured values may lie outside of it, such as those of a resized image."""
SNUG = 0.05
"""Fraction of a range by which the smallest and the largest measured value may differ from its ends."""
USUAL: Sequence[Range] = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""The ranges that images usually have."""
NO_RANGES: Ranges = MappingProxyType({})
OUT = "out"
"""The name of a result among the ranges that an injector or network declares."""
IN = "in"
"""The name of the input among the ranges that a network declares."""


class WholeNumbers(NamedTuple):
    """A range of whole numbers, such as codes of a codebook. A larger one than expected is a fault, not a warning."""

    low: int
    high: int


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

A data set declares the keys of its samples, a network `out` and `in`, or `encode.out` for a method, an injector `out`.
Losses, metrics and injectors declare the parameters whose values must have a range.
"""


def checked_values(names: Collection[str] | None, values: DeclaredValues) -> DeclaredValues:
    """The ranges that a component declares.

    Args:
        names: What it may declare a range of; None: any key.

    Raises:
        ConfigError: A name is unknown, or a range does not have the smaller number first.
    """
    for name, found in () if callable(values) else values.items():
        if names is not None and name.rpartition(".")[2] not in names:
            raise ConfigError(f"values: unknown name {name!r}. {allowed('Available names', name, names)}")
        if found is not None and not found[0] < found[1]:
            raise ConfigError(f"values: {name!r}: expected two numbers, the smaller one first, got {found}")
    return values


def same_as(parameter: str) -> Callable[[Known], Ranges]:
    """The result has the range of the key of a parameter."""
    return lambda known: {OUT: known.keys.get(parameter)}


def input_of(network: str, *parameters: str) -> Callable[[Known], Ranges]:
    """The values of parameters must have the range of the input of a network."""

    def of_network(known: Known) -> Ranges:
        expected = known.networks.get(network, {}).get(IN)
        return dict.fromkeys(parameters, expected) if expected else {}

    return of_network


def codes_of(*methods: str, takes: Sequence[str] = ()) -> Callable[[Known], Ranges]:
    """Methods of a network return codes in 0..num_codes-1, and those of `takes` expect them."""

    def of_options(known: Known) -> Ranges:
        codes = WholeNumbers(0, known.options["num_codes"] - 1)
        return dict.fromkeys([f"{method}.{OUT}" for method in methods] + [f"{method}.{IN}" for method in takes], codes)

    return of_options


def shown(values: Range) -> str:
    """A range in messages: `-1..1`."""
    return f"{values[0]:g}..{values[1]:g}"


def differ(one: Range, other: Range) -> bool:
    """Whether two ranges are not the same, apart from rounding."""
    width = max(one[1] - one[0], other[1] - other[0])
    return any(abs(a - b) > TOLERANCE * width for a, b in zip(one, other, strict=True))


def measured(values: Tensor) -> Range | None:
    """The smallest and the largest value; None without values, or if they are not floating point."""
    if not values.is_floating_point() or not values.numel():
        return None
    values = values.detach()
    return float(values.amin()), float(values.amax())  # `aminmax` is slower.


def contradicts(found: Range, expected: Range) -> bool:
    """Whether measured values hardly have an expected range.

    They lie clearly outside of it, or fill another usual range.
    """
    if leaves(found, expected, OVERSHOOT):
        return True
    return any(differ(usual, expected) and _fills(found, usual) for usual in USUAL)


def usual(found: Range) -> Range:
    """The usual range that measured values probably have; the measured one if it is none of them."""
    return next((one for one in USUAL if _fills(found, one)), found)


def leaves(found: Range, expected: Range, slack: float) -> bool:
    """Whether measured values lie outside of a range by more than a fraction of it. NaN does."""
    margin = slack * (expected[1] - expected[0])
    return not (expected[0] - margin <= found[0] and found[1] <= expected[1] + margin)


def _fills(found: Range, expected: Range) -> bool:
    margin = SNUG * (expected[1] - expected[0])
    return all(abs(a - b) <= margin for a, b in zip(found, expected, strict=True))


def in_common(ranges: Sequence[Range | None]) -> Range | None:
    """The range of all; None if it is not known, or if they differ."""
    first = ranges[0] if ranges else None
    return first if all(one == first for one in ranges) else None
