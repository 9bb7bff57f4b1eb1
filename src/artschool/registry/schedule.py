"""Numbers that change in training: a function of the iteration, in phases with a curve, a scale and a warm-up."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from artschool.registry.signature import MARK, Fraction, Marker, NotNegative, Positive, Role, UnitInterval

Curve = Callable[[float, int], float]
RawSchedule = Annotated[dict[str, Any], Marker(Role.NESTED, "schedules")]
"""The entry of a phase, not validated yet."""


def curve_of(target: Callable[..., Any], options: Mapping[str, Any]) -> Curve:
    """The curve of a component: a function with its options, or an object of a class that keeps a state."""
    bound = partial(target, **options)
    return bound() if inspect.isclass(target) else bound


@dataclass(frozen=True)
class Phase:
    """A part of a schedule.

    Attributes:
        curve: Maps the base rate and the number of iterations since `start` to the rate.
        start: The first iteration of the phase.
        scale: Factor of the base rate.
        warmup: Number of iterations over which the rate rises linearly from 0. 0: no warm-up.
    """

    curve: Curve
    start: int = 0
    scale: float = 1.0
    warmup: int = 0

    def rate(self, base: float, iteration: int) -> float:
        """The rate at an iteration, which must be at least `start`."""
        since = iteration - self.start
        rate = self.curve(base * self.scale, since)
        return rate * (since + 1) / self.warmup if since < self.warmup else rate


@dataclass(frozen=True)
class Schedule:
    """Phases, sorted by start.

    Attributes:
        written: The value in the file. None: it is the schedule of a learning rate.
    """

    phases: Sequence[Phase] = ()
    written: Any = None

    def rate(self, base: float, iteration: int) -> float:
        """The rate at an iteration. Before the first phase the base rate applies."""
        for phase in reversed(self.phases):
            if iteration >= phase.start:
                return phase.rate(base, iteration)
        return base

    def at(self, iteration: int, base: float = 1.0) -> float:
        """The number at an iteration. Before the first phase, that of its first iteration."""
        return self.rate(base, max(iteration, self.phases[0].start) if self.phases else iteration)

    def __format__(self, spec: str) -> str:
        """The types of its phases, whatever the format of numbers."""
        phases = self.written if isinstance(self.written, list) else [self.written]
        return ", then ".join(str(phase.get("type")) for phase in phases if phase)


@dataclass(frozen=True)
class Unread:
    """What the file has in place of a number: the entry of a schedule, or a list of them. Its reader replaces it.

    Attributes:
        number: The type of the number, with its bounds.
    """

    written: Any
    number: Any


def has_unread(value: Any) -> bool:
    """Whether a value is a schedule that is not read yet, or a list with one."""
    return isinstance(value, Unread) or (isinstance(value, list | tuple) and any(map(has_unread, value)))


@dataclass(frozen=True)
class OrSchedule:
    """Marks the type of an option that is a number or a schedule of it.

    Attributes:
        number: The type of the number, with its bounds.
    """

    number: Any = float

    @property
    def forms(self) -> tuple[Any, ...]:
        """The types of the forms that a file may use."""
        return self.number, RawSchedule, list[RawSchedule]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate a number; leave a schedule as it is, so that errors about numbers do not mention it."""

        def validate(value: Any, of_number: core_schema.ValidatorFunctionWrapHandler) -> Any:
            return Unread(value, self.number) if is_written_schedule(value) else of_number(value)

        return core_schema.no_info_wrap_validator_function(
            validate,
            handler.generate_schema(self.number),
            serialization=core_schema.plain_serializer_function_ser_schema(_plain),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Accept each of the forms."""
        phase = {MARK: [Role.NESTED.value, "schedules"]}
        return {"anyOf": [handler(schema), phase, {"type": "array", "items": phase, "minItems": 1}]}


def forms_of(extras: Sequence[Any]) -> tuple[Any, ...]:
    """The types of what a file may write for a number, from the metadata of its type. Empty: it has no schedule."""
    found = next((extra for extra in extras if isinstance(extra, OrSchedule)), None)
    return found.forms if found is not None else ()


def is_written_schedule(value: Any) -> bool:
    """Whether a value of the file is an entry, or a list of entries."""
    phases = value if isinstance(value, list) and value else [value]
    return all(isinstance(phase, dict) for phase in phases)


def may_change(annotation: Any) -> bool:
    """Whether a file may give a schedule for a value of this type, or for a number in it."""
    extras = typing.get_args(annotation)[1:] if typing.get_origin(annotation) is Annotated else ()
    parts = () if typing.get_origin(annotation) is typing.Literal else typing.get_args(annotation)
    return any(isinstance(extra, OrSchedule) for extra in extras) or any(map(may_change, parts))


def _plain(value: Any) -> Any:
    return value.written if isinstance(value, Schedule) else value


def value_at(number: float | Schedule, iteration: int) -> float:
    """The value of a number at an iteration."""
    return number.at(iteration) if isinstance(number, Schedule) else number


Number: TypeAlias = Annotated[float | Schedule, OrSchedule()]
"""A number, or a schedule of it."""
PositiveNumber: TypeAlias = Annotated[float | Schedule, OrSchedule(Positive)]
"""A number above 0, or a schedule of it."""
NotNegativeNumber: TypeAlias = Annotated[float | Schedule, OrSchedule(NotNegative)]
"""A number that is 0 or more, or a schedule of it."""
UnitNumber: TypeAlias = Annotated[float | Schedule, OrSchedule(UnitInterval)]
"""A number in 0..1, or a schedule of it."""
FractionNumber: TypeAlias = Annotated[float | Schedule, OrSchedule(Fraction)]
"""A number in 0..1, excluding 1, or a schedule of it."""
