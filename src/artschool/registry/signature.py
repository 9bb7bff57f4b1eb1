"""What a signature says: the annotations that components are written with, and the interface that is read from them."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError, core_schema
from torch import Tensor, nn

from artschool.registry.context import Context as Context  # noqa: PLC0414  # offered here, beside the other annotations


class Role(enum.Enum):
    """What stands in the file for a parameter, and what is given to it at run time."""

    KEY = "key"
    NETWORK = "network"
    NESTED = "component"
    CONTEXT = "context"
    OPTION = "option"


@dataclass(frozen=True)
class Marker:
    """Tells an annotation that stands for something the file names from an ordinary type."""

    role: Role
    kind: str = ""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Leaves a mark in a JSON schema too, for `config.schema` to put in what may stand there."""
        return {MARK: [self.role.value, self.kind]}


MARK = "artschool"


Network: TypeAlias = Annotated[nn.Module, Marker(Role.NETWORK)]
"""A network named in the file; the module to call at run time."""
Injector: TypeAlias = Annotated[Callable[..., Any], Marker(Role.NESTED, "injectors")]
"""A nested injector; at run time a callable that takes its keys' values."""
Loss: TypeAlias = Annotated[Callable[..., Tensor], Marker(Role.NESTED, "losses")]
"""A nested loss; at run time a callable that takes its keys' values and returns a scalar."""
Dataset: TypeAlias = Annotated[Any, Marker(Role.NESTED, "datasets")]
"""A nested data set; at run time the built object."""
Metric: TypeAlias = Annotated[Callable[..., Any], Marker(Role.NESTED, "metrics")]
"""A nested metric; at run time a callable that takes its keys' values."""


def _name_of(what: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if not isinstance(value, str) or not value:
            raise PydanticCustomError("name", "the name of a {what}", {"what": what})
        return value

    return BeforeValidator(check)


Key: TypeAlias = Annotated[str, StringConstraints(min_length=1), _name_of("key"), Marker(Role.KEY)]
"""The name of a value in the state, as it stands in the file."""
NetworkName: TypeAlias = Annotated[str, StringConstraints(min_length=1), _name_of("network"), Marker(Role.NETWORK)]
"""The name of a network, as it stands in the file."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole: TypeAlias = Annotated[int, BeforeValidator(_whole)]
"""A whole number, which may be written `1e5`."""
Count: TypeAlias = Annotated[Whole, Field(ge=1)]
"""A whole number, 1 or more."""
Natural: TypeAlias = Annotated[Whole, Field(ge=0)]
"""A whole number, 0 or more."""
Positive: TypeAlias = Annotated[float, Field(gt=0)]
"""A number above 0."""
NotNegative: TypeAlias = Annotated[float, Field(ge=0)]
"""A number, 0 or more."""
UnitInterval: TypeAlias = Annotated[float, Field(ge=0, le=1)]
"""A number in 0..1."""
Fraction: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
"""A number in 0..1, without 1 itself."""


@dataclass(frozen=True)
class Pattern:
    """Tells text of a certain form from any other; `words` say to people what the form is."""

    regex: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """A schema whose error are the words."""
        text = core_schema.str_schema(pattern=self.regex, strict=True)
        return core_schema.custom_error_schema(text, custom_error_type="form", custom_error_message=self.words)


MISSING: Any = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One parameter of a component.

    Attributes:
        annotation: The type of what stands in the file: a key is text there.
        positional: Whether `in:` can fill it.
        at_call: Whether it is given at each call, rather than once when the component is built.
    """

    name: str
    role: Role
    annotation: Any
    default: Any
    positional: bool
    at_call: bool
    nested_kind: str = ""

    @property
    def required(self) -> bool:
        """Whether the file has to give it."""
        return self.default is MISSING and self.role is not Role.CONTEXT


@dataclass(frozen=True)
class Signature:
    """What the signature of a component says.

    Attributes:
        returns: The annotation of what a call returns, MISSING without one.
        num_outputs: How many values a call returns, None where the annotation does not say.
        yields: The keys of a data set's samples, None where the annotation does not say.
    """

    target: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    returns: Any
    num_outputs: int | None
    yields: tuple[str, ...] | None
    is_class: bool

    def of(self, role: Role) -> list[Parameter]:
        """The parameters of one role, in order."""
        return [parameter for parameter in self.parameters if parameter.role is role]

    @property
    def inputs(self) -> list[Parameter]:
        """The parameters that `in:` fills, in order."""
        return [parameter for parameter in self.of(Role.KEY) if parameter.positional]
