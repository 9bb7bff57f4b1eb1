"""Finds what a checkout defines, from its text alone. Nothing is imported."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from artschool.paths import is_dir, is_file

NETWORK = re.compile(r"^@(?:\w+\.)*register_model\b.*\n(?:@.*\n)*def register_(\w+)", re.MULTILINE)
CLASS = re.compile(r"^class (\w+)\s*\(", re.MULTILINE)
MODELS, INJECTORS, DATA = "models", "trainer/injectors", "data/__init__.py"


@dataclass(frozen=True)
class Part:
    """A network, a data set or an injector of a checkout.

    Attributes:
        kind: The kind of the component, such as `networks`.
        name: The name in files: of `register_<name>`, the mode of `create_dataset`, or of the class in snake_case.
        symbol: The function or class that defines it.
        file: The file that contains the symbol.
        needs: The modules to import before it can be built, as the checkout names them. The first contains the symbol.
    """

    kind: str
    name: str
    symbol: str
    file: Path
    needs: tuple[str, ...]


def is_checkout(folder: Path) -> bool:
    """Whether a folder has the layout of `codes` of DL-Art-School."""
    return os.access(folder, os.X_OK) and is_dir(folder / MODELS) and is_dir(folder / "trainer")


def parts_of(folder: Path, package: str) -> Iterator[Part]:
    """Everything that a checkout defines.

    Args:
        package: The prefix of the names of its modules, which is empty or ends with a dot.
    """
    for file in sorted((folder / MODELS).rglob("*.py")):
        for name in NETWORK.findall(_read(file)):
            yield Part("networks", name, f"register_{name}", file, (_module(file, folder, package),))
    for file in sorted((folder / INJECTORS).rglob("*.py")):
        for symbol in CLASS.findall(_read(file)):
            yield Part("injectors", injector_name(symbol), symbol, file, (_module(file, folder, package),))
    yield from _datasets(folder / DATA, f"{package}data")


def injector_name(symbol: str) -> str:
    """The name of an injector in files: its class in snake_case, without `_injector`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", symbol).lower()
    return words.replace("_injector", "")


def _datasets(file: Path, module: str) -> Iterator[Part]:
    """The modes of `create_dataset`, with the modules that the branch of each imports."""
    try:
        tree = ast.parse(_read(file))
    except SyntaxError:
        return
    functions = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "create_dataset")
    for branch in (node for function in functions for node in ast.walk(function) if isinstance(node, ast.If)):
        needs = [n.module for n in branch.body if isinstance(n, ast.ImportFrom) and n.module and not n.level]
        for name in (n.value for n in ast.walk(branch.test) if isinstance(n, ast.Constant)):
            if isinstance(name, str) and isinstance(branch.test, ast.Compare):
                yield Part("datasets", name, "create_dataset", file, (module, *needs))


def _module(file: Path, folder: Path, package: str) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return package + ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if is_file(file) else ""
