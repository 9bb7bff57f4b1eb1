"""The reference page of the Python API: what `artschool` exports, from signatures and docstrings."""

from __future__ import annotations

import inspect
from typing import Any

import artschool
from artschool.engine.run import Run
from artschool.errors import ArtschoolError
from artschool.registry import Registry
from docs.tools.markdown import docstring, table

INTRODUCTION = """# Python API

The names that `import artschool` offers, besides `artschool.__version__`. Everything else may change without notice.
"""


def page() -> str:
    """The text of the page."""
    public = {name: getattr(artschool, name) for name in artschool.__all__}
    public.setdefault("Run", Run)
    functions = {name: item for name, item in public.items() if inspect.isfunction(item)}
    registries = {name: item for name, item in public.items() if isinstance(item, Registry)}
    classes = {name: item for name, item in public.items() if inspect.isclass(item)}
    errors = {name: item for name, item in classes.items() if issubclass(item, ArtschoolError)}
    others = {name: item for name, item in classes.items() if name not in errors}
    constants = {name for name in public if name not in functions | registries | classes}
    parts = [INTRODUCTION, "## Functions\n", *(_callable(name, item) for name, item in functions.items())]
    parts += ["## Classes\n", *(_class(name, item) for name, item in sorted(others.items()))]
    markers = sorted(name for name in constants if name[0].isupper())
    if markers:
        listed = ", ".join(f"`{name}`" for name in markers)
        parts.append(f"## Annotations\n\nTypes for the parameters of components: {listed}.\n")
    parts += ["## Registries\n", _registries(registries), _class("Registry", Registry)]
    if errors:
        rows = [(f"`{name}`", str(item.exit_code), _summary(item)) for name, item in errors.items()]
        parts += ["## Errors\n", table(("error", "exit code", "raised when"), rows)]
    return "\n".join(parts)


def _registries(registries: dict[str, Registry]) -> str:
    rows = [(f"`artschool.{name}`", f"[{len(item.names())} that ship]({name}.md)") for name, item in registries.items()]
    return table(("registry", "components"), rows)


def _class(name: str, item: type) -> str:
    parts = [f"### {name}\n", docstring(item.__doc__ or "")]
    for method, function in vars(item).items():
        if method.startswith("_") or not getattr(function, "__doc__", None):
            continue
        if inspect.isfunction(function):
            parts.append(_callable(f"{name}.{method}", function, level=4))
        elif isinstance(function, property):
            parts.append(f"#### {name}.{method}\n\n{docstring(function.__doc__ or '')}")
    return "\n".join(parts)


def _callable(name: str, function: Any, level: int = 3) -> str:
    code = f"```python\n{name}{_arguments(inspect.signature(function))}\n```"
    return f"{'#' * level} {name}\n\n{code}\n\n{docstring(function.__doc__ or '')}"


def _arguments(signature: inspect.Signature) -> str:
    """The parameters and what is returned, in one line or in one for each parameter."""
    parts = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        if parameter.name != "self":
            parts.append(_parameter(parameter))
    returned = "" if signature.return_annotation is signature.empty else f" -> {signature.return_annotation}"
    line = f"({', '.join(parts)}){returned}"
    return line if len(line) <= 80 else "(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"


def _parameter(parameter: inspect.Parameter) -> str:
    annotation = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
    if parameter.default is parameter.empty:
        return f"{parameter.name}{annotation}"
    return f"{parameter.name}{annotation}{' = ' if annotation else '='}{parameter.default!r}"


def _summary(item: type) -> str:
    return inspect.cleandoc(item.__doc__ or "").partition("\n")[0]
