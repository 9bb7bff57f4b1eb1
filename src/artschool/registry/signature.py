"""The annotations that components are written with, and the interface that is read from them."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError, core_schema
from torch import Tensor, nn

from artschool.registry.context import Context as Context  # noqa: PLC0414  # re-exported with the other annotations


class Role(enum.Enum):
    """The role of a parameter: what the file gives for it, and what it receives at run time."""

    KEY = "key"
    NETWORK = "network"
    NESTED = "component"
    CONTEXT = "context"
    OPTION = "option"


@dataclass(frozen=True)
class Marker:
    """Marks an annotation whose value in the file is a name or a nested component, rather than an option."""

    role: Role
    kind: str = ""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Mark the JSON schema too, so that the `schema` package can insert the allowed values."""
        return {MARK: [self.role.value, self.kind]}


MARK = "artschool"


SHAPE = "shape"
"""The kind of the marker of a key of which only the shape is read."""
ShapeOf: TypeAlias = Annotated[Tensor, Marker(Role.KEY, SHAPE)]
"""A key of which the component reads shape, dtype and device, and never the values: any tensor of its shape will do."""
Text: TypeAlias = Annotated[list[str], Marker(Role.KEY)]
"""A key whose value is a text for each sample."""
Network: TypeAlias = Annotated[nn.Module, Marker(Role.NETWORK)]
"""A network. The file gives its name, the component receives the module."""
Injector: TypeAlias = Annotated[Callable[..., Any], Marker(Role.NESTED, "injectors")]
"""A nested injector. The component receives a callable that takes the values of its keys."""
Loss: TypeAlias = Annotated[Callable[..., Tensor], Marker(Role.NESTED, "losses")]
"""A nested loss. The component receives a callable that takes the values of its keys and returns a scalar."""
Dataset: TypeAlias = Annotated[Any, Marker(Role.NESTED, "datasets")]
"""A nested data set. The component receives the object."""
Metric: TypeAlias = Annotated[Callable[..., Any], Marker(Role.NESTED, "metrics")]
"""A nested metric. The component receives a callable that takes the values of its keys."""


def _name_of(what: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if not isinstance(value, str) or not value:
            raise PydanticCustomError("name", "the name of a {what}", {"what": what})
        return value

    return BeforeValidator(check)


Key: TypeAlias = Annotated[str, StringConstraints(min_length=1), _name_of("key"), Marker(Role.KEY)]
"""The name of a value in the state, as written in the file."""
NetworkName: TypeAlias = Annotated[str, StringConstraints(min_length=1), _name_of("network"), Marker(Role.NETWORK)]
"""The name of a network, as written in the file."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole: TypeAlias = Annotated[int, BeforeValidator(_whole)]
"""A whole number. It may be written as `1e5`."""
Count: TypeAlias = Annotated[Whole, Field(ge=1)]
"""A whole number, 1 or more."""
Natural: TypeAlias = Annotated[Whole, Field(ge=0)]
"""A whole number, 0 or more."""
Positive: TypeAlias = Annotated[float, Field(gt=0)]
"""A number above 0."""
NotZero: TypeAlias = Positive | Annotated[float, Field(lt=0)]
"""A number other than 0."""
NotNegative: TypeAlias = Annotated[float, Field(ge=0)]
"""A number, 0 or more."""
UnitInterval: TypeAlias = Annotated[float, Field(ge=0, le=1)]
"""A number in 0..1."""
Fraction: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
"""A number in 0..1, excluding 1."""


@dataclass(frozen=True)
class Pattern:
    """Text that must match a regular expression.

    Attributes:
        regex: The regular expression.
        words: Description of the expected text, for error messages.
    """

    regex: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """A schema whose error message is `words`."""
        text = core_schema.str_schema(pattern=self.regex, strict=True)
        return core_schema.custom_error_schema(text, custom_error_type="form", custom_error_message=self.words)


@dataclass(frozen=True)
class MayChange:
    """Marks an option of a call whose number a file may schedule."""


Scheduled: TypeAlias = Annotated[float, MayChange()]
"""A number that may change in training: the file gives a number or a schedule, each call receives a number."""
PositiveScheduled: TypeAlias = Annotated[Scheduled, Field(gt=0)]
"""A number above 0 that may change in training."""
NotNegativeScheduled: TypeAlias = Annotated[Scheduled, Field(ge=0)]
"""A number, 0 or more, that may change in training."""
UnitScheduled: TypeAlias = Annotated[Scheduled, Field(ge=0, le=1)]
"""A number in 0..1 that may change in training."""


MISSING: Any = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One parameter of a component.

    Attributes:
        annotation: The type of the value in the file. A key is text there.
        positional: Whether `in:` can fill the parameter.
        at_call: Whether the parameter is given at each call, rather than once when the component is built.
        nested_kind: The kind of a nested component, such as `losses`.
        of_shape: Whether only the shape of the key is read.
    """

    name: str
    role: Role
    annotation: Any
    default: Any
    positional: bool
    at_call: bool
    nested_kind: str = ""
    of_shape: bool = False

    @property
    def required(self) -> bool:
        """Whether the file must give the parameter."""
        return self.default is MISSING and self.role is not Role.CONTEXT


@dataclass(frozen=True)
class Signature:
    """The interface of a component, read from its signature.

    Attributes:
        returns: The return annotation of a call, MISSING if there is none.
        num_outputs: Number of values that a call returns, None if the annotation does not determine it.
        yields: Keys of the samples of a data set, None if the annotation does not determine them.
        takes_others: Whether `**options` takes options of any other name.
    """

    target: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    returns: Any
    num_outputs: int | None
    yields: tuple[str, ...] | None
    is_class: bool
    takes_others: bool = False

    def of(self, role: Role) -> list[Parameter]:
        """The parameters with this role, in order."""
        return [parameter for parameter in self.parameters if parameter.role is role]

    @property
    def inputs(self) -> list[Parameter]:
        """The parameters that `in:` fills, in order."""
        return [parameter for parameter in self.of(Role.KEY) if parameter.positional]
