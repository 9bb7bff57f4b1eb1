"""Cuts the source of a network out of the modules that it needs, so that it runs where only torch is installed."""

from __future__ import annotations

import ast
import builtins
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from artschool.errors import ArtschoolError
from artschool.registry import Registry

OWN = "artschool"
FUTURE = "from __future__ import annotations"


class CannotStandAloneError(Exception):
    """The source of a network needs something besides Python and torch."""


def standalone_source(target: Any) -> dict[str, str]:
    """The files of a package `network` that defines `build`, which is a class or function of a network.

    Each file holds the statements of one module that the network needs. Annotations and the registration of
    components are left out, since they need artschool; errors of artschool become plain exceptions.

    Args:
        target: The class or function that builds the network from its options.

    Returns:
        The text of each file by name.

    Raises:
        CannotStandAloneError: The source is unknown, or needs a package besides torch.
    """
    name, module = getattr(target, "__qualname__", ""), getattr(target, "__module__", "")
    if not name.isidentifier() or module not in sys.modules:
        raise CannotStandAloneError(f"{target!r} has no source")
    if not _is_inlined(module):
        _require_torch(module)
        return {"__init__.py": f"from {module} import {name} as build\n"}
    cut = _Cut()
    cut.need(module, name)
    cut.complete()
    return {
        **{f"{part.file}.py": part.text() for part in cut.parts.values()},
        "__init__.py": f"from .{cut.parts[module].file} import {name} as build\n",
    }


@dataclass
class _Part:
    """What is needed of one module.

    Attributes:
        file: Name of the file to write, without `.py`.
        kept: The needed statements of the module, by position.
        imports: The needed names that the module imports, as statements.
        replaced: By line, the last line and the new lines of imports and decorators to replace.
        annotated: Names in annotations, which are not evaluated.
    """

    module: ModuleType
    file: str
    lines: list[str]
    bound: dict[str, list[ast.stmt]]
    kept: dict[int, ast.stmt] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    replaced: dict[int, tuple[int, list[str]]] = field(default_factory=dict)
    annotated: set[str] = field(default_factory=set)

    def text(self) -> str:
        """The text of the file."""
        origin = (
            self.module.__name__
            if self.module.__name__.startswith(f"{OWN}.")
            else f"{Path(self.module.__file__ or '').name}"
        )
        imports, types = self._annotations()
        head = "\n".join(sorted({*self.imports, *imports}, key=lambda line: (line.startswith("from ."), line)))
        blocks = [f"# Cut from {origin}: what the network needs.", FUTURE, head]
        blocks += [f"{name} = Any  # the type of an option, which artschool checks" for name in sorted(types)]
        blocks += [self._source(line, statement) for line, statement in sorted(self.kept.items())]
        return "\n\n".join(block for block in blocks if block) + "\n"

    def _source(self, line: int, statement: ast.stmt) -> str:
        text: list[str] = []
        while line <= (statement.end_lineno or line):
            end, new = self.replaced.get(line, (line, [self.lines[line - 1]]))
            text += new
            line = end + 1
        return "\n".join(text)

    def _annotations(self) -> tuple[set[str], set[str]]:
        """Imports of names that only annotations need, and those that only artschool could import."""
        kept = {name for name, statements in self.bound.items() if any(s in self.kept.values() for s in statements)}
        imports, types = set[str](), set[str]()
        for name in self.annotated & self.bound.keys() - kept:
            statement = self.bound[name][0]
            if isinstance(statement, ast.ImportFrom) and _is_everywhere(statement.module or OWN):
                imports.update(
                    ast.unparse(ast.ImportFrom(statement.module, [a], 0))
                    for a in statement.names
                    if (a.asname or a.name) == name
                )
            elif not any(text.endswith(f" {name}") for text in self.imports):
                types.add(name)
        return imports | ({"from typing import Any"} if types else set()), types


class _Cut:
    """Follows names from module to module."""

    def __init__(self) -> None:
        self.parts: dict[str, _Part] = {}
        self._waiting: list[tuple[str, str]] = []
        self._seen: set[tuple[str, str]] = set()

    def need(self, module: str, name: str) -> None:
        if (module, name) not in self._seen:
            self._seen.add((module, name))
            self._waiting.append((module, name))

    def complete(self) -> None:
        while self._waiting:
            self._follow(*self._waiting.pop())

    def _part(self, name: str) -> _Part:
        if name not in self.parts:
            module = sys.modules.get(name) or importlib.import_module(name)
            try:
                source = inspect.getsource(module)
            except (OSError, TypeError) as error:
                raise CannotStandAloneError(f"the source of {name} is unknown") from error
            self.parts[name] = _Part(module, self._file(module), source.splitlines(), _bindings(ast.parse(source)))
        return self.parts[name]

    def _file(self, module: ModuleType) -> str:
        """The name of a module's file, or the whole name of the module where another one has the same."""
        stem, name = Path(module.__file__ or "").stem, module.__name__
        last = name.rpartition(".")[2] if stem == "__init__" else stem
        return last if last not in {part.file for part in self.parts.values()} else name.replace(".", "_")

    def _follow(self, module: str, name: str) -> None:
        part = self._part(module)
        statements = part.bound.get(name)
        if statements is None:
            if not hasattr(builtins, name):
                raise CannotStandAloneError(f"{module} has no {name!r}")
            return
        for statement in statements:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                part.imports.update(text for bound, text in self._imports(part, statement) if bound == name)
            else:
                self._keep(part, statement)

    def _keep(self, part: _Part, statement: ast.stmt) -> None:
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
        if first in part.kept:
            return
        part.kept[first] = statement
        if _is_error(statement, part.module):
            part.replaced[first] = (statement.end_lineno or first, _plain_error(statement))
            return
        part.annotated.update(_annotated(statement))
        for node in _reached(statement, part.module):
            if isinstance(node, ast.expr) and not isinstance(node, ast.Name):  # A registration.
                part.replaced[node.lineno] = (node.end_lineno or node.lineno, [])
            elif isinstance(node, ast.Import | ast.ImportFrom):
                new = [" " * node.col_offset + text for _, text in self._imports(part, node)]
                part.replaced[node.lineno] = (node.end_lineno or node.lineno, new)
            elif isinstance(node, ast.Name) and node.id in part.bound:
                self.need(part.module.__name__, node.id)
            elif isinstance(node, ast.Global):
                for name in node.names:
                    self.need(part.module.__name__, name)

    def _imports(self, part: _Part, statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
        """The names that an import binds, each with a statement that imports it alone."""
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if _is_inlined(alias.name):
                    raise CannotStandAloneError(f"{part.module.__name__} uses {alias.name} as a whole")
                _require_torch(alias.name)
                yield alias.asname or alias.name.partition(".")[0], ast.unparse(ast.Import([alias]))
            return
        source = importlib.util.resolve_name("." * statement.level + (statement.module or ""), part.module.__package__)
        for alias in statement.names:
            bound = alias.asname or alias.name
            if source == "__future__":
                continue
            if not _is_inlined(source):
                _require_torch(source)
                yield bound, ast.unparse(ast.ImportFrom(source, [alias], 0))
            elif importlib.util.find_spec(source) and f"{source}.{alias.name}" in sys.modules:
                self._need_attributes(part, f"{source}.{alias.name}", bound)
                yield bound, f"from . import {self._part(f'{source}.{alias.name}').file} as {bound}"
            else:
                self.need(source, alias.name)
                yield bound, f"from .{self._part(source).file} import {ast.unparse(alias)}"

    def _need_attributes(self, part: _Part, module: str, bound: str) -> None:
        """Need what a module reads of another one that it imports as a whole."""
        for node in ast.walk(ast.parse("\n".join(part.lines))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == bound:
                self.need(module, node.attr)


def _bindings(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """The statements of a module that bind each of its names."""
    bound: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _bound(statement):
            bound.setdefault(name, []).append(statement)
    return bound


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
        return set()
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return {node.id for node in names}


def _reached(node: ast.AST, module: ModuleType) -> Iterator[ast.AST]:
    """Names and imports below a statement without those of annotations, and the registrations among its decorators."""
    for label, value in ast.iter_fields(node):
        if label in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            registers = label == "decorator_list" and _is_registration(child, module)
            if registers or isinstance(child, ast.Name | ast.Import | ast.ImportFrom | ast.Global):
                yield child
            elif isinstance(child, ast.AST):
                yield from _reached(child, module)


def _annotated(statement: ast.stmt) -> set[str]:
    """The names in the annotations of a statement."""
    found = [getattr(node, label, None) for node in ast.walk(statement) for label in ("annotation", "returns")]
    names = (name for annotation in found if annotation is not None for name in ast.walk(annotation))
    return {name.id for name in names if isinstance(name, ast.Name)}


def _is_registration(decorator: ast.expr, module: ModuleType) -> bool:
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    path = ast.unparse(call).split(".")
    found: Any = vars(module).get(path[0])
    for name in path[1:]:
        found = getattr(found, name, None)
    return isinstance(getattr(found, "__self__", None), Registry)


def _is_error(statement: ast.stmt, module: ModuleType) -> bool:
    defined = vars(module).get(statement.name) if isinstance(statement, ast.ClassDef) else None
    return isinstance(defined, type) and issubclass(defined, ArtschoolError)


def _plain_error(statement: ast.stmt) -> list[str]:
    assert isinstance(statement, ast.ClassDef)
    summary = (ast.get_docstring(statement) or "").partition("\n")[0]
    return [f"class {statement.name}(Exception):", f'    """{summary}"""']


def _is_inlined(module: str) -> bool:
    """Whether a module is copied: it is part of artschool, or a plugin that no package installs."""
    top = module.partition(".")[0]
    return top == OWN or (top not in sys.stdlib_module_names and top not in _installed())


def _require_torch(module: str) -> None:
    if not _is_everywhere(module):
        raise CannotStandAloneError(f"it needs the package {module.partition('.')[0]}")


def _is_everywhere(module: str) -> bool:
    """Whether a module comes with Python or torch."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top == "torch"


def _installed() -> Mapping[str, list[str]]:
    global _packages  # noqa: PLW0603  # reading the metadata of all packages takes a tenth of a second
    _packages = _packages or importlib.metadata.packages_distributions()
    return _packages


_packages: Mapping[str, list[str]] = {}
