"""A registered component: what a file can write for it, and what its documentation says."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from artschool.errors import ConfigError
from artschool.registry import entries
from artschool.registry.mean_over import Mean
from artschool.registry.ranges import DeclaredValues
from artschool.registry.roles import ComponentRole
from artschool.registry.signature import Role, Signature


@dataclass(frozen=True)
class Kind:
    """A kind of component.

    Attributes:
        name: The name of the kind, such as `losses`.
        one: The name of one component of the kind, such as `loss`.
        entry: The options that every entry of the kind may have.
        provided: Number of leading parameters that the trainer provides when it builds or calls a component.
        provided_at_call: Whether an object of a class gets these when it is called, and not when it is built.
        calls: The methods that may take the keys; the first that a class defines does. Empty: no keys.
        nested: The options that every entry inside another component may have.
        bounds: The type that replaces `float` in the annotation of an option, by the option's name. Such an option
            takes no key.
    """

    name: str
    one: str
    entry: type[entries.Entry]
    provided: int = 0
    provided_at_call: bool = False
    calls: tuple[str, ...] = ()
    bounds: Mapping[str, Any] = field(default_factory=dict)
    nested: type[entries.Entry] = entries.Entry

    @property
    def many(self) -> str:
        """What several components of the kind are called in text: `data sets`."""
        return self.name if self.name.startswith(self.one) else f"{self.one}s"


@dataclass(frozen=True)
class Registered:
    """A component that a file can name.

    Attributes:
        roles: What the component is for, as declared at registration. Lint rules ask for them.
        mean: What the value of a loss is a mean over. None: the loss does not declare it.
        values: The ranges of what the component reads and writes, as declared at registration.
    """

    kind: Kind
    name: str
    signature: Signature
    roles: frozenset[ComponentRole] = frozenset()
    mean: Mean | None = None
    values: DeclaredValues = field(default_factory=dict)

    @cached_property
    def model(self) -> type[BaseModel]:
        """The pydantic model that validates an entry of a file, in which keys and networks are names.

        Raises:
            ConfigError: A parameter has a type that a file cannot express.
        """
        return _model(self.name, self.kind.entry, self.signature)

    @cached_property
    def nested(self) -> type[BaseModel]:
        """The model of an entry nested in another component, without keys: the outer component provides them."""
        own = [parameter for parameter in self.signature.parameters if parameter.role is not Role.KEY]
        return _model(self.name, self.kind.nested, replace(self.signature, parameters=tuple(own)))

    @property
    def target(self) -> Callable[..., Any]:
        """The registered function or class."""
        return self.signature.target

    @property
    def origin(self) -> str:
        """The module and name of the registered function or class."""
        return origin_of(self.target)

    @property
    def documentation(self) -> str:
        """The docstring, including those of `__init__` and of the called method."""
        return self.documentations[-1]

    @property
    def documentations(self) -> list[str]:
        """The documentation of each base class, the nearest last, and then the component's own."""
        if not isinstance(self.target, type):
            return [self._own_text]
        return [_documentation(each, self.kind.calls) for each in reversed(self.target.__mro__)]

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self._own_text.split("\n", 1)[0]

    @property
    def _own_text(self) -> str:
        # Without inherited text: the docstring of nn.Module does not describe this component.
        return inspect.cleandoc(_function(self.target).__doc__ or "")

    @property
    def takes(self) -> list[str]:
        """The names of the options and keys that an entry may have."""
        names = [info.alias or name for name, info in self.model.model_fields.items()]
        return (["in"] if self.signature.inputs else []) + [name for name in names if name != "type"]


def origin_of(target: Callable[..., Any]) -> str:
    """The module and name of a function or class."""
    return f"{_function(target).__module__}.{_function(target).__qualname__}"


def _function(target: Callable[..., Any]) -> Callable[..., Any]:
    return target.func if isinstance(target, partial) else target


def _documentation(owner: type, calls: Sequence[str]) -> str:
    # Without inherited docstrings: inspect.getdoc would return that of object.__init__.
    methods = [owner.__dict__.get(name) for name in ("__init__", *calls)]
    return "\n\n".join(
        inspect.cleandoc(part.__doc__) for part in (owner, *methods) if part is not None and part.__doc__
    )


def _model(name: str, base: type[entries.Entry], signature: Signature) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    if signature.takes_others:
        base = _open(base)
    for parameter in signature.parameters:
        if parameter.role is Role.CONTEXT:
            continue
        default = Field(alias=parameter.name) if parameter.required else Field(parameter.default, alias=parameter.name)
        # The prefix allows an option to have the name of an attribute of pydantic's models.
        fields[f"option_{parameter.name}"] = (parameter.annotation, default)
    try:
        return create_model(name, __base__=base, **fields)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        first = str(error).split("\n", 1)[0]
        raise ConfigError(f"a parameter has a type that a file cannot express: {first}") from None


@cache
def _open(base: type[entries.Entry]) -> type[entries.Entry]:
    """An entry that allows options of any name."""
    return type(base.__name__, (base,), {"model_config": ConfigDict(extra="allow"), "__module__": base.__module__})
