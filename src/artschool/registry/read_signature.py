"""Reads the signature of a callable as the interface of a component: keys, networks, nested components and options."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Union

from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry.schedule import OrSchedule, may_change
from artschool.registry.signature import (
    MISSING,
    SHAPE,
    Context,
    Key,
    Marker,
    MayChange,
    NetworkName,
    Parameter,
    Role,
    Signature,
    Whole,
)


def read_signature(target: Callable[..., Any], *, provided: int = 0, calls: Sequence[str] = ()) -> Signature:
    """Read the signature of a function or class.

    Args:
        target: A function, or a class. `__init__` of a class takes options, and one of its methods takes keys.
        provided: Number of leading parameters that the trainer gives, such as the parameters of an optimizer.
        calls: Names of the method that takes keys; the first that the class defines counts. Empty for a component that
            is only built.

    Raises:
        ConfigError: A file cannot use the component. The message suggests a fix.
    """
    if not inspect.isclass(target):
        parameters, returns = _read_callable(target, skip=provided, at_call=bool(calls))
        yields, others = _yields(returns), _takes_others(target)
        return Signature(
            target, parameters, returns, _count_outputs(returns), yields, is_class=False, takes_others=others
        )
    if inspect.isabstract(target):
        missing = ", ".join(sorted(getattr(target, "__abstractmethods__", ())))
        raise ConfigError(
            f"{target.__qualname__} is abstract: it does not define {missing}. Fix: register a subclass that does"
        )
    parameters, _ = _read_callable(target.__init__, skip=provided + 1, at_call=False)
    returns = MISSING
    if calls:
        method = _method_of(target, calls)
        is_static = isinstance(inspect.getattr_static(target, method.__name__, None), staticmethod)
        at_call, returns = _read_callable(method, skip=0 if is_static else 1, at_call=True)
        duplicates = {p.name for p in parameters} & {p.name for p in at_call}
        if duplicates:
            raise ConfigError(
                f"{target.__qualname__} has {', '.join(map(repr, sorted(duplicates)))} both in __init__ and in "
                f"{method.__name__}. Fix: rename the parameter in one of them"
            )
        parameters += at_call
    yields, others = _yields_of_class(target), _takes_others(target.__init__)
    return Signature(target, parameters, returns, _count_outputs(returns), yields, is_class=True, takes_others=others)


def _takes_others(function: Callable[..., Any]) -> bool:
    """Whether a function has `**options`. `object.__init__`, which has a general signature, takes none."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds and function is not object.__init__


def _method_of(target: type, calls: Sequence[str]) -> Callable[..., Any]:
    """The method of a class that takes keys."""
    # `forward` of a class that is not a module would never be called.
    names = [name for name in calls if name != "forward" or issubclass(target, nn.Module)]
    for name in names:
        # Not hasattr: every class can be called, and `__call__` of its metaclass takes the parameters of `__init__`.
        if not any(name in vars(base) for base in target.__mro__):
            continue
        method: Callable[..., Any] = getattr(target, name)
        if callable(method) and method != getattr(nn.Module, name, None):
            return method
    raise ConfigError(
        f"{target.__qualname__} does not define {' or '.join(names)}. Fix: add one with a parameter for each key"
    )


def _read_callable(function: Callable[..., Any], *, skip: int, at_call: bool) -> tuple[tuple[Parameter, ...], Any]:
    name = getattr(function, "__qualname__", repr(function))
    hints = _hints(function)
    parameters = []
    try:
        signature = inspect.signature(function)
    except ValueError:
        raise ConfigError(
            f"{name} has no signature that Python can read. Fix: wrap it in a function with annotated parameters"
        ) from None
    odd = "yields values" if inspect.isgeneratorfunction(function) else "is `async`"
    if at_call and (inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function)):
        raise ConfigError(f"{name} {odd}, but a component returns its result. Fix: write a plain function")
    for index, parameter in enumerate(signature.parameters.values()):
        if index < skip or parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            if at_call:
                raise ConfigError(
                    f"{name} takes *{parameter.name}, but a file gives parameters by name. "
                    f"Fix: write `{parameter.name}: list[Tensor]`"
                )
            continue
        annotation = hints.get(parameter.name, parameter.annotation)
        read = _read_parameter(name, parameter, annotation, at_call=at_call)
        if read is not None:
            parameters.append(read)
    return tuple(parameters), hints.get("return", MISSING)


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    function = inspect.unwrap(function.func if isinstance(function, partial) else function)
    hints: dict[str, Any] = {}
    for name, raw in getattr(function, "__annotations__", {}).items():
        # One by one: third-party annotations may use names that only a type checker imports.
        single = types.SimpleNamespace(__annotations__={name: raw})
        with suppress(NameError, TypeError, AttributeError, SyntaxError):
            hints |= typing.get_type_hints(single, getattr(function, "__globals__", {}), include_extras=True)
    return hints


def _read_parameter(owner: str, parameter: inspect.Parameter, annotation: Any, *, at_call: bool) -> Parameter | None:
    has_default = parameter.default is not MISSING
    if annotation is MISSING or isinstance(annotation, str):
        if not has_default:
            problem = (
                "has no annotation"
                if annotation is MISSING
                else f"has the annotation '{annotation}', which is not defined at run time"
            )
            raise ConfigError(
                f"{owner}: parameter '{parameter.name}' {problem}. "
                "Fix: annotate it with `Tensor` for a key, `Network` for a network, or the type of the option"
            )
        annotation = Any if parameter.default is None else type(parameter.default)
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        if has_default:
            return None
        raise ConfigError(
            f"{owner}: parameter '{parameter.name}' is positional-only, but a file gives parameters by name. "
            "Fix: remove the `/`"
        )
    found: set[Marker] = set()
    try:
        file_type = _file_type(annotation, found)
    except TypeError as error:
        if has_default:
            return None  # A file cannot give a value, so the default applies.
        raise ConfigError(f"{owner}: parameter '{parameter.name}' {error}") from None
    if may_change(file_type) and not at_call:
        raise ConfigError(
            f"{owner}: parameter '{parameter.name}' is Scheduled, but is given only once. "
            "Fix: take it in the method or function that each iteration calls"
        )
    roles = sorted({marker.role.value for marker in found})
    if len(roles) > 1:
        raise ConfigError(
            f"{owner}: parameter '{parameter.name}' has several roles: {', '.join(roles)}. "
            "Fix: split it into one parameter for each role"
        )
    marker = next(iter(found), Marker(Role.OPTION))
    return Parameter(
        name=parameter.name,
        role=marker.role,
        annotation=file_type,
        default=parameter.default,
        positional=parameter.kind is not inspect.Parameter.KEYWORD_ONLY,
        at_call=at_call,
        nested_kind=marker.kind if marker.role is Role.NESTED else "",
        of_shape=found == {Marker(Role.KEY, SHAPE)},
    )


def _file_type(annotation: Any, found: set[Marker]) -> Any:
    """The type of the value in the file for an annotation. Adds the markers of the annotation to `found`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _file_type_of_annotated(arguments[0], arguments[1:], found)
    if origin in (Union, types.UnionType):
        return _file_type_of_union(arguments, found)
    if origin in (list, tuple, dict, set, Sequence, Mapping):
        return origin[tuple(part if part is ... else _file_type(part, found) for part in arguments)]
    if origin is Callable:
        raise _not_in_a_file(annotation)
    return annotation if origin is not None else _file_type_of_class(annotation, found)


def _file_type_of_annotated(annotation: Any, extras: Sequence[Any], found: set[Marker]) -> Any:
    marker = next((extra for extra in extras if isinstance(extra, Marker)), None)
    if marker is None:
        others = [extra for extra in extras if not isinstance(extra, MayChange)]
        plain = _file_type(annotation, found)
        number = Annotated[(plain, *others)] if others else plain
        return number if len(others) == len(extras) else Annotated[Any, OrSchedule(number)]
    found.add(marker)
    if marker.role is Role.NESTED:
        return Annotated[dict[str, Any], marker]
    return NetworkName if marker.role is Role.NETWORK else Key


def _file_type_of_union(parts: Sequence[Any], found: set[Marker]) -> Any:
    allowed = _allowed_parts(parts, found)
    if any(part is str or typing.get_origin(part) is typing.Literal for part in allowed):
        for name in (marker.role.value for marker in found if marker.role in (Role.KEY, Role.NETWORK)):
            raise TypeError(
                f"takes text or the name of a {name}, which a file cannot distinguish. "
                "Fix: split it into two parameters"
            )
    return Union[allowed]  # noqa: UP007  # built from a tuple


def _file_type_of_class(annotation: Any, found: set[Marker]) -> Any:
    if annotation is Tensor:
        found.add(Marker(Role.KEY))
        return Key
    if annotation is int:
        return Whole
    if annotation is Context:
        found.add(Marker(Role.CONTEXT))
        return Any
    if isinstance(annotation, type) and not _is_allowed_in_a_file(annotation):
        raise _not_in_a_file(annotation)
    return annotation


def _allowed_parts(parts: Sequence[Any], found: set[Marker]) -> tuple[Any, ...]:
    """The parts of a union that a file can give. There is at least one other than null."""
    allowed, errors = [], []
    for part in parts:
        try:
            allowed.append(_file_type(part, found))
        except TypeError as error:
            errors.append(error)
    if errors and all(part is type(None) for part in allowed):
        raise errors[0]
    return tuple(allowed)


def _is_allowed_in_a_file(annotation: type) -> bool:
    plain = (bool, int, float, str, Path, list, tuple, dict, set, type(None), enum.Enum)
    return annotation is Any or issubclass(annotation, plain) or hasattr(annotation, "__pydantic_validator__")


def _not_in_a_file(annotation: Any) -> TypeError:
    name = getattr(annotation, "__name__", str(annotation))
    return TypeError(
        f"has the type {name}, which a file cannot give. "
        "Fix: take a number, text, a list or a mapping, `Tensor` for a key or `Network` for a network"
    )


def _count_outputs(returns: Any) -> int | None:
    if returns is Tensor:
        return 1
    arguments = typing.get_args(returns)
    return len(arguments) if typing.get_origin(returns) is tuple and ... not in arguments else None


def declared_by(dataset: type) -> tuple[str, ...] | None:
    """The keys that the class of a data set declares. None if it declares none or takes them from other data sets."""
    return _yields_of_class(dataset) or None


def _yields(returns: Any) -> tuple[str, ...] | None:
    if inspect.isclass(returns) and typing.is_typeddict(returns):
        return tuple(returns.__annotations__)
    return _yields_of_class(returns) if inspect.isclass(returns) else None


def _yields_of_class(target: type) -> tuple[str, ...] | None:
    method = getattr(target, "__getitem__", None)
    returns = _hints(method).get("return") if inspect.isfunction(method) else None
    return tuple(returns.__annotations__) if typing.is_typeddict(returns) else None
