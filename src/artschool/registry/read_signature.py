"""A callable's signature, read as the interface of a component: its keys, networks, nested components and options."""

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
from artschool.registry.signature import MISSING, Context, Key, Marker, NetworkName, Parameter, Role, Signature, Whole


def read_signature(target: Callable[..., Any], *, provided: int = 0, calls: Sequence[str] = ()) -> Signature:
    """Read a function's or a class's signature.

    Args:
        target: A function, or a class whose `__init__` takes options and one of whose `calls` takes keys.
        provided: How many leading parameters the trainer itself gives (an optimizer's parameters).
        calls: The method that is called at each iteration, the first that is defined; none for what is only built.

    Raises:
        ConfigError: It cannot be used from a file; the text says how to mend it.
    """
    if not inspect.isclass(target):
        parameters, returns = _read_callable(target, skip=provided, at_call=bool(calls))
        return Signature(target, parameters, returns, _count_outputs(returns), _yields(returns), is_class=False)
    if inspect.isabstract(target):
        raise ConfigError(f"{target.__qualname__} is abstract; register a class that can be built")
    parameters, _ = _read_callable(target.__init__, skip=provided + 1, at_call=False)
    returns = MISSING
    if calls:
        method = next((getattr(target, name) for name in calls if _defines(target, name)), None)
        if method is None:
            raise ConfigError(f"{target.__qualname__} defines none of {', '.join(calls)}; add one that takes the keys")
        at_call, returns = _read_callable(method, skip=1, at_call=True)
        twice = {p.name for p in parameters} & {p.name for p in at_call}
        if twice:
            raise ConfigError(
                f"{target.__qualname__} takes {', '.join(sorted(twice))} both when built and when called; rename one"
            )
        parameters += at_call
    return Signature(target, parameters, returns, _count_outputs(returns), _yields_of_class(target), is_class=True)


def _defines(target: type, name: str) -> bool:
    method = getattr(target, name, None)
    if method is None or method is getattr(nn.Module, name, None):
        return False
    if name == "forward" and not issubclass(target, nn.Module):
        return False  # Nothing would call it.
    return method is not getattr(type, name, None)


def _read_callable(function: Callable[..., Any], *, skip: int, at_call: bool) -> tuple[tuple[Parameter, ...], Any]:
    name = getattr(function, "__qualname__", repr(function))
    hints = _hints(function)
    parameters = []
    try:
        signature = inspect.signature(function)
    except ValueError:
        raise ConfigError(f"{name} has no signature that Python can read; wrap it in a function of your own") from None
    for index, parameter in enumerate(signature.parameters.values()):
        if index < skip or parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            if at_call:
                raise ConfigError(
                    f"{name} takes *{parameter.name}; write one parameter `{parameter.name}: list[Tensor]`"
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
        # One by one: somebody else's annotations may name what only a type checker imports.
        one = types.SimpleNamespace(__annotations__={name: raw})
        with suppress(NameError, TypeError, AttributeError, SyntaxError):
            hints |= typing.get_type_hints(one, getattr(function, "__globals__", {}), include_extras=True)
    return hints


def _read_parameter(owner: str, parameter: inspect.Parameter, annotation: Any, *, at_call: bool) -> Parameter | None:
    has_default = parameter.default is not MISSING
    if annotation is MISSING or isinstance(annotation, str):
        if not has_default:
            has = (
                "no annotation" if annotation is MISSING else f"the annotation '{annotation}', which names nothing here"
            )
            raise ConfigError(
                f"{owner}: parameter '{parameter.name}' has {has}, so nobody knows what it takes; "
                "write `Tensor` for a key, `Network` for a network, or the option's type"
            )
        annotation = Any if parameter.default is None else type(parameter.default)
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        if has_default:
            return None
        raise ConfigError(f"{owner} takes '{parameter.name}' by position only, but a file gives names; remove the `/`")
    found: set[Marker] = set()
    try:
        rewritten = _in_file(annotation, found)
    except TypeError as error:
        if has_default:
            return None  # A file cannot give it; its default serves.
        raise ConfigError(f"{owner}: parameter '{parameter.name}' {error}") from None
    if len({marker.role for marker in found}) > 1:
        raise ConfigError(f"{owner}: parameter '{parameter.name}' mixes keys, networks and components; split it")
    marker = next(iter(found), Marker(Role.OPTION))
    return Parameter(
        name=parameter.name,
        role=marker.role,
        annotation=rewritten,
        default=parameter.default,
        positional=parameter.kind is not inspect.Parameter.KEYWORD_ONLY,
        at_call=at_call,
        nested_kind=marker.kind,
    )


def _in_file(annotation: Any, found: set[Marker]) -> Any:
    """Rewrite an annotation to the type of what stands in the file, noting the markers met on the way."""
    if annotation is Tensor:
        found.add(Marker(Role.KEY))
        return Key
    if annotation is int:
        return Whole
    if annotation is Context:
        found.add(Marker(Role.CONTEXT))
        return Any
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        marker = next((extra for extra in arguments[1:] if isinstance(extra, Marker)), None)
        if marker is None:
            return Annotated[(_in_file(arguments[0], found), *arguments[1:])]
        found.add(marker)
        if marker.role is Role.NESTED:
            return Annotated[dict[str, Any], marker]
        return NetworkName if marker.role is Role.NETWORK else Key
    if origin in (Union, types.UnionType):
        parts = _parts_in_file(arguments, found)
        if any(part is str or typing.get_origin(part) is typing.Literal for part in parts):
            for name in (marker.role.value for marker in found if marker.role in (Role.KEY, Role.NETWORK)):
                raise TypeError(f"is text or a {name}, which a file cannot tell apart; split it into two parameters")
        return Union[parts]  # noqa: UP007  # built from a tuple
    if origin in (list, tuple, dict, set, Sequence, Mapping):
        return origin[tuple(part if part is ... else _in_file(part, found) for part in arguments)]
    if origin is Callable or (origin is None and isinstance(annotation, type) and not _fits_a_file(annotation)):
        name = getattr(annotation, "__name__", str(annotation))
        raise TypeError(
            f"is annotated {name}, which no file can give; "
            "take a number, text, a list or a mapping, `Tensor` for a key or `Network` for a network"
        )
    return annotation


def _parts_in_file(parts: Sequence[Any], found: set[Marker]) -> tuple[Any, ...]:
    """The parts of a union that a file can give; there is at least one besides null."""
    fitting, refused = [], []
    for part in parts:
        try:
            fitting.append(_in_file(part, found))
        except TypeError as error:
            refused.append(error)
    if refused and all(part is type(None) for part in fitting):
        raise refused[0]
    return tuple(fitting)


def _fits_a_file(annotation: type) -> bool:
    plain = (bool, int, float, str, Path, list, tuple, dict, set, type(None), enum.Enum)
    return annotation is Any or issubclass(annotation, plain) or hasattr(annotation, "__pydantic_validator__")


def _count_outputs(returns: Any) -> int | None:
    if returns is Tensor:
        return 1
    arguments = typing.get_args(returns)
    return len(arguments) if typing.get_origin(returns) is tuple and ... not in arguments else None


def declared_by(dataset: type) -> tuple[str, ...] | None:
    """The keys that the class of a data set declares, None where it declares none or passes on those of others."""
    return _yields_of_class(dataset) or None


def _yields(returns: Any) -> tuple[str, ...] | None:
    if inspect.isclass(returns) and typing.is_typeddict(returns):
        return tuple(returns.__annotations__)
    return _yields_of_class(returns) if inspect.isclass(returns) else None


def _yields_of_class(target: type) -> tuple[str, ...] | None:
    method = getattr(target, "__getitem__", None)
    returns = _hints(method).get("return") if inspect.isfunction(method) else None
    return tuple(returns.__annotations__) if typing.is_typeddict(returns) else None
