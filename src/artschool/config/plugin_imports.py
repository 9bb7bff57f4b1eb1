"""Finds the modules of the user's project that the code of plugins imports."""

from __future__ import annotations

import ast
import importlib.util
import sys
import sysconfig
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from artschool.paths import read_file

OWN = "artschool"
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of installed packages, whose versions are a matter of the environment."""


def imported_files(plugins: Collection[Path]) -> dict[str, Path]:
    """The files that plugins import at their top level, also indirectly, by the names of their modules.

    The standard library, installed packages, artschool and the plugins themselves are left out.

    Args:
        plugins: The files of plugins that have been imported.
    """
    names = tuple(file.name for file in plugins)
    # Comparing names first is fast: few of the thousands of modules have one of these.
    candidates = [module for module in [*sys.modules.values()] if str(getattr(module, "__file__", "")).endswith(names)]
    known, waiting = set(plugins), [module for module in candidates if _file_of(module) in plugins]
    found: dict[str, Path] = {}
    while waiting:
        for name in _imports(waiting.pop()):
            module = sys.modules.get(name)
            file = _file_of(module) if module is not None else None
            if module is not None and file is not None and file not in known:
                known.add(file)
                found[name] = file
                waiting.append(module)
    return dict(sorted(found.items()))


def _file_of(module: ModuleType) -> Path | None:
    """The file of a module of the project. None: it belongs to something installed, or has no source.

    Of most modules, the name says so: the disk is not asked, where some files may be closed to the user.
    """
    name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
    top = str(name).partition(".")[0]
    if not isinstance(file, str) or not file.endswith(".py") or top == OWN or top in sys.stdlib_module_names:
        return None
    path = Path(file)
    is_installed = path.is_relative_to(STANDARD_LIBRARY) or not INSTALLED.isdisjoint(path.parts)
    return None if is_installed else path.resolve()


def _imports(module: ModuleType) -> Iterator[str]:
    """The names that the top level of a module imports: modules, and what may be one."""
    assert module.__file__ is not None
    with suppress(OSError, SyntaxError):  # Deleted or edited since it was imported.
        for node in _at_import(ast.parse(read_file(Path(module.__file__)))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from _with_parents(alias.name)
            elif isinstance(node, ast.ImportFrom):
                with suppress(ImportError):  # What `except ImportError` is for.
                    base = importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)
                    yield from _with_parents(base)
                    yield from (f"{base}.{alias.name}" for alias in node.names)


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a module that run when it is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _at_import(child)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))
