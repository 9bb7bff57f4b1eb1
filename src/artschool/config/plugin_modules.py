"""Plugin files as modules: a file is one module, whatever name it is imported by."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

PREFIX = "artschool_plugin_"
"""Prefix of the module names of plugin files."""


def begin_list() -> None:
    """From now on, plugin files find those by name that are imported after this: the ones that one config lists."""
    _NEIGHBORS.files.clear()


def forget_modules() -> None:
    """Forget all plugin files, so that each is run again when it is imported."""
    begin_list()
    own = {id(module) for name, module in sys.modules.items() if name.startswith(PREFIX)}
    for name in [name for name, module in sys.modules.items() if id(module) in own]:
        del sys.modules[name]


def import_file(file: Path) -> None:
    """Run a plugin file, unless it has been imported before under any name. `file` is resolved."""
    module_name = _module_name(str(file))
    # A script, a test or a plugin may have imported the file under its own name; a second copy would register
    # everything twice.
    if any(_is_of(module, file) for module in list(sys.modules.values())):
        _NEIGHBORS.files.append(str(file))
        return
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, so that its classes can be found by name while it loads.
    sys.modules[module_name] = module
    _IMPORTED_ONCE.stems.add(file.stem)
    _NEIGHBORS.files.append(str(file))
    if _IMPORTED_ONCE not in sys.meta_path:
        sys.meta_path.insert(0, _IMPORTED_ONCE)
        sys.meta_path.append(_NEIGHBORS)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise


def _module_name(file: str) -> str:
    return f"{PREFIX}{Path(file).stem}_{hashlib.sha256(file.encode()).hexdigest()[:8]}"


class _ImportedOnce(MetaPathFinder):
    """Finds the module of a plugin file when other code imports the file under a name of its own.

    Attributes:
        stems: The names of the plugin files, so that no other import is looked up twice.
    """

    def __init__(self) -> None:
        self.stems: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module, if the name leads to a plugin file that has been imported."""
        spec = PathFinder.find_spec(name, path, target) if name.rpartition(".")[2] in self.stems else None
        if spec is None or spec.origin is None:
            return None
        found = sys.modules.get(_module_name(os.path.realpath(spec.origin)))
        return None if found is None else ModuleSpec(name, _Existing(found), origin=spec.origin)


class _Neighbors(MetaPathFinder):
    """Finds the module of a plugin file by the name of the file, where Python finds nothing of this name.

    Attributes:
        files: The plugin files that one file lists, as far as they have been imported.
    """

    def __init__(self) -> None:
        self.files: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module, if one plugin file has this name."""
        files = {file for file in self.files if Path(file).stem == name}
        found = sys.modules.get(_module_name(files.pop())) if len(files) == 1 else None
        return None if found is None else ModuleSpec(name, _Existing(found), origin=found.__file__)


class _Existing(Loader):
    """Loads a module that exists."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing, and take back what `import` has written into the module."""
        module.__spec__ = self._spec


_IMPORTED_ONCE, _NEIGHBORS = _ImportedOnce(), _Neighbors()


def _is_of(module: ModuleType, file: Path) -> bool:
    """Whether a module is that of a file, which may have been found by another path."""
    path = getattr(module, "__file__", None)
    return isinstance(path, str) and path.endswith(file.name) and os.path.realpath(path) == str(file)
