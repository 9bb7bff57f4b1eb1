"""The list of built-in modules: complete, sorted, without doubles."""

from __future__ import annotations

import ast
from pathlib import Path

from artschool import components
from artschool.components import builtins
from artschool.registry import REGISTRIES

FOLDER = Path(components.__path__[0])


def listed() -> list[str]:
    """The modules that `load_builtins` imports, in order."""
    nodes = ast.walk(ast.parse(Path(builtins.__file__).read_text()))
    return [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]


def registers(module: Path) -> bool:
    """Whether a module uses the `register` of a registry, as a decorator or as a call."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "register"
        and isinstance(node.value, ast.Name)
        and node.value.id in REGISTRIES
        for node in ast.walk(ast.parse(module.read_text()))
    )


def test_every_module_that_registers_a_component_is_listed() -> None:
    paths = {path for path in FOLDER.rglob("*.py") if registers(path)}
    found = {".".join(("artschool.components", *path.relative_to(FOLDER).with_suffix("").parts)) for path in paths}
    assert found == set(listed())


def test_the_list_is_sorted_and_has_no_doubles() -> None:
    assert listed() == sorted(set(listed()))
