"""`artschool components`."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from artschool.cli.columns import print_columns, print_docstring
from artschool.config.component import takes_list
from artschool.config.plugins import load_installed, load_plugin
from artschool.config.write import flow
from artschool.errors import ConfigError, Place, allowed
from artschool.registry import REGISTRIES, Registered, Registry, load_builtins
from artschool.signature import Marker, Parameter, Role


def components_command(kind: str | None, name: str | None, plugins: Sequence[str]) -> None:
    """List kinds, the components of one, or describe a component."""
    console = Console(highlight=False)
    load_builtins()
    load_installed()
    for plugin in plugins:
        console.print(f"plugin {plugin}", soft_wrap=True, markup=False)
        load_plugin(plugin, Place("--plugin"), "")
    if kind is None:
        print_columns(console, [(each.kind.name, ", ".join(each.names()) or "none") for each in REGISTRIES.values()])
        return
    if kind not in REGISTRIES:
        raise ConfigError(f"unknown kind {kind!r}. {allowed('The kinds are', kind, REGISTRIES)}")
    if name is None:
        _list(console, REGISTRIES[kind])
    else:
        _describe(console, REGISTRIES[kind].get(name))


def _list(console: Console, registry: Registry) -> None:
    rows = [(name, registry.get(name).summary) for name in registry.names()]
    print_columns(console, rows or [("none", "")])


def _describe(console: Console, item: Registered) -> None:
    console.print(f"[bold]{item.name}[/], {item.kind.one}\n")
    print_docstring(console, item.documentation or "No documentation.")
    rows = [("in the file", "default", "takes")]
    parameters = {parameter.name: parameter for parameter in item.signature.parameters}
    for field_name, info in item.model.model_fields.items():
        name = info.alias or field_name
        if name == "type":
            continue
        parameter = parameters.get(name)
        what = _takes(parameter) if parameter else _type_name(info.annotation)
        rows.append((name, "required" if info.is_required() else _default(info.default), what))
    console.print()
    print_columns(console, rows)
    inputs = ", ".join(parameter.name for parameter in item.signature.inputs)
    if inputs:
        console.print(f"\n`in:` fills {inputs}, in this order.", soft_wrap=True)
    if item.signature.yields:
        console.print(f"\nYields {', '.join(item.signature.yields)}.", soft_wrap=True)


def _takes(parameter: Parameter) -> str:
    if parameter.role is Role.NESTED:
        one = f"mapping with the type of one of the {parameter.nested_kind}"
        return f"list of {one}" if takes_list(parameter.annotation) else one
    return _type_name(parameter.annotation)


def _type_name(annotation: Any) -> str:
    """A type in a reader's words: `key`, `key or null`, `list of key`, `'l1' or 'l2'`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"mapping of {', '.join(annotation.model_fields)}"
    if origin is typing.Annotated:
        marker = next((extra for extra in arguments[1:] if isinstance(extra, Marker)), None)
        return marker.role.value if marker else _type_name(arguments[0])
    if origin is typing.Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin in (list, tuple, set):
        return f"list of {', '.join(_type_name(a) for a in arguments if a is not ...)}"
    if origin is dict:
        return f"mapping to {_type_name(arguments[1])}"
    if arguments:
        return " or ".join(dict.fromkeys(" or ".join(map(_type_name, arguments)).split(" or ")))
    names = {
        "NoneType": "null",
        "int": "whole number",
        "float": "number",
        "str": "text",
        "bool": "true or false",
    }
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, name)


def _default(value: Any) -> str:
    return flow(value)
