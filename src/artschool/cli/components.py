"""`artschool components`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from artschool.cli.columns import print_columns, print_docstring
from artschool.components.builtins import load_builtins
from artschool.config.component import takes_list
from artschool.config.plugins import load_installed, load_plugin
from artschool.config.type_names import annotation_of, type_name
from artschool.config.write import flow
from artschool.errors import ConfigError
from artschool.faults import Place
from artschool.registry import REGISTRIES, Registered, Registry
from artschool.registry.signature import Parameter, Role
from artschool.wording.names import allowed


def components_command(kind: str | None, name: str | None, plugins: Sequence[str]) -> None:
    """List the kinds, list the components of a kind, or describe a component."""
    console = Console(highlight=False)
    load_builtins()
    load_installed()
    for plugin in plugins:
        console.print(f"plugin {plugin}", soft_wrap=True, markup=False)
        load_plugin(plugin, Place("--plugin"), "")
    if kind is None:
        print_columns(
            console, [(registry.kind.name, ", ".join(registry.names()) or "none") for registry in REGISTRIES.values()]
        )
        return
    if kind not in REGISTRIES:
        raise ConfigError(f"unknown kind {kind!r}. {allowed('Available kinds', kind, REGISTRIES)}")
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
    rows = [("option", "default", "takes")]
    parameters = {parameter.name: parameter for parameter in item.signature.parameters}
    for field_name, info in item.model.model_fields.items():
        name = info.alias or field_name
        if name == "type":
            continue
        parameter = parameters.get(name)
        what = _takes(parameter) if parameter else type_name(annotation_of(info))
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
        one = f"mapping with a `type` from the {parameter.nested_kind}"
        return f"list of {one}" if takes_list(parameter.annotation) else one
    return type_name(parameter.annotation)


def _default(value: Any) -> str:
    return flow(value)
