"""`artschool components`."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from artschool.config.plugins import load_installed, load_plugin
from artschool.errors import ConfigError, Place, allowed
from artschool.registry import REGISTRIES, Registered, Registry, load_builtins
from artschool.signature import Marker, Role


def components_command(kind: str | None, name: str | None, plugins: Sequence[str]) -> None:
    """List kinds, the components of one, or describe a component."""
    load_builtins()
    load_installed()
    for plugin in plugins:
        load_plugin(plugin, Place(str(Path.cwd() / "command line")), "--plugin")
    console = Console(highlight=False)
    if kind is None:
        for each in REGISTRIES.values():
            console.print(f"[bold]{each.kind.name}[/]: {', '.join(each.names()) or 'none'}", soft_wrap=True)
        return
    if kind not in REGISTRIES:
        raise ConfigError(f"unknown kind {kind!r}. {allowed('The kinds are', kind, REGISTRIES)}")
    if name is None:
        _list(console, REGISTRIES[kind])
    else:
        _describe(console, REGISTRIES[kind].get(name))


def _list(console: Console, registry: Registry) -> None:
    table = Table.grid(padding=(0, 2))
    for name in registry.names():
        table.add_row(f"[bold]{name}[/]", registry.get(name).summary)
    console.print(table)


def _describe(console: Console, item: Registered) -> None:
    console.print(f"[bold]{item.name}[/], {item.kind.one}\n")
    console.print(item.documentation or "No documentation.", markup=False)
    table = Table("in the file", "takes", "default", box=None, padding=(0, 2), header_style="dim")
    parameters = {parameter.name: parameter for parameter in item.signature.parameters}
    for field_name, info in item.model.model_fields.items():
        name = info.alias or field_name
        if name == "type":
            continue
        parameter = parameters.get(name)
        what = _what(parameter.role, parameter.annotation) if parameter else _type_name(info.annotation)
        table.add_row(name, what, "required" if info.is_required() else _default(info.default))
    console.print()
    console.print(table)
    if item.signature.inputs:
        console.print(
            f"\n`in:` fills {', '.join(parameter.name for parameter in item.signature.inputs)}, in this order."
        )
    if item.signature.yields:
        console.print(f"\nYields {', '.join(item.signature.yields)}.")


def _what(role: Role, annotation: Any) -> str:
    if role is Role.NETWORK:
        return "a network"
    return "a component" if role is Role.NESTED else _type_name(annotation)


def _type_name(annotation: Any) -> str:
    """A type in a reader's words: `key`, `key or null`, `list of key`, `'l1' or 'l2'`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        is_key = any(isinstance(extra, Marker) for extra in arguments[1:])
        return "key" if is_key else _type_name(arguments[0])
    if origin is typing.Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin in (list, tuple, set):
        return f"list of {', '.join(_type_name(a) for a in arguments if a is not ...)}"
    if origin is dict:
        return f"mapping to {_type_name(arguments[1])}"
    if arguments:
        return " or ".join(_type_name(argument) for argument in arguments)
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
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
