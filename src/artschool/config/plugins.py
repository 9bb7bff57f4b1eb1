"""Imports the files and modules that `plugins:` lists, and no other code of the user."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path

from artschool.config.paths import named_at
from artschool.config.source import Node
from artschool.errors import ConfigError, Fault, Place, nearest
from artschool.registry import REGISTRIES

ENTRY_POINTS = "artschool"
PREFIX = "artschool_plugin_"
"""Prefix of the module names of plugin files."""


def load_installed() -> None:
    """Import the entry points of installed packages in the group `artschool`.

    Raises:
        ConfigError: An import raises.
    """
    for point in entry_points(group=ENTRY_POINTS):
        with _blamed(point.value, Place(f"installed package {point.dist.name}" if point.dist else ""), ""):
            point.load()


def load_listed(tree: Node, announce: Callable[[str], None]) -> list[Fault]:
    """Import the entry points of installed packages, and what `plugins:` lists. Returns what fails as faults.

    Args:
        announce: Called with the name of each plugin of the file before its import.
    """
    load_installed()
    listed = tree.get("plugins")
    faults: list[Fault] = []
    for index, node in enumerate(listed.value if listed is not None and isinstance(listed.value, list) else []):
        if isinstance(node.value, str):
            announce(f"plugin {node.value}")
            try:
                load_plugin(node.value, node.place, f"plugins.{index}")
            except ConfigError as error:
                faults += error.faults
    return faults


def load_plugin(name: str, place: Place, path: str) -> None:
    """Import one plugin: a `.py` file, relative to the file that lists it, or a module.

    Raises:
        ConfigError: The plugin does not exist, or its import raises. The fault names the line of the plugin.
    """
    if name.endswith(".py"):
        file = file_of(name, place)
        if not file.is_file():
            raise ConfigError(Fault.missing_file(place, path, file))
        with _blamed(name, place, path):
            _import_file(file)
    else:
        with _blamed(name, place, path):
            importlib.import_module(name)


def file_of(name: str, place: Place) -> Path:
    """The path of a `.py` file that is listed at a location."""
    return named_at(place, name).resolve()


def forget_files() -> None:
    """Forget the plugin files, so that another file may register other components of the same names."""
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
        del sys.modules[name]
    for registry in REGISTRIES.values():
        registry.forget(PREFIX)


@contextmanager
def _blamed(name: str, place: Place, path: str) -> Iterator[None]:
    """Turn whatever a plugin raises into a fault at the location that lists it."""
    try:
        with redirect_stdout(sys.stderr):  # The plugin's output must not mix with a command's, such as JSON.
            yield
    except ConfigError as error:
        raise ConfigError([Fault(place, path, f"plugin {name!r}: {fault.message}") for fault in error.faults]) from None
    except BaseException as error:
        # Any exception of a plugin, also SystemExit, is a fault of the plugin and reported with its line.
        if isinstance(error, KeyboardInterrupt):
            raise
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            hint = _nearest_module(error.name) or "The name of a plugin file ends in `.py`."
            raise ConfigError(Fault(place, path, f"module {name!r} does not exist", hint)) from None
        hint = _last_line(error)
        if isinstance(error, ImportError) and "relative import" in str(error):
            hint += "\nFix: list the file as a module of its package, such as `my_package.parts`."
        raise ConfigError(
            Fault(place, path, f"plugin {name!r} raised {type(error).__name__}: {error}", hint)
        ) from error


def _nearest_module(name: str) -> str:
    """A sentence that names the module closest to a missing one; empty when none is close."""
    parent, _, last = name.rpartition(".")
    folders = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if parent and folders is None:
        return ""
    # Do not suggest a module whose name is a prefix of the missing one: artschool for artschool_nets.
    return nearest(last, [m.name for m in pkgutil.iter_modules(folders) if not last.startswith(m.name)])


def _import_file(file: Path) -> None:
    module_name = f"{PREFIX}{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    # A script or a test may have imported the file under its own name; a second copy would register everything twice.
    if any(getattr(module, "__file__", None) == str(file) for module in list(sys.modules.values())):
        return
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, so that its classes can be found by name while it loads.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise


def _last_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"at {error.filename}:{error.lineno}: {(error.text or '').strip()}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    return f"at {frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
