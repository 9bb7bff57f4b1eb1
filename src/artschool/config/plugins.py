"""Imports the files and modules that `plugins:` lists, and nothing else of the user's."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path

from artschool.errors import ConfigError, Fault, Place, nearest
from artschool.registry import REGISTRIES

ENTRY_POINTS = "artschool"
PREFIX = "artschool_plugin_"
"""Stands before the names of modules that are files."""


def load_installed() -> None:
    """Import what installed packages offer under the entry-point group `artschool`.

    Raises:
        ConfigError: One of them raises.
    """
    for point in entry_points(group=ENTRY_POINTS):
        with _blamed(point.value, Place(f"installed package {point.dist.name}" if point.dist else ""), ""):
            point.load()


def load_plugin(name: str, place: Place, path: str) -> None:
    """Import one plugin: a `.py` file, relative to the file that lists it, or the name of a module.

    Raises:
        ConfigError: It does not exist, or it raises; the fault names the line of the plugin.
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
    """The `.py` file that is listed at a place."""
    # What an override lists is relative to where the command runs.
    return ((Path(place.source).parent if place.line else Path.cwd()) / name).resolve()


def forget_files() -> None:
    """Forget the plugins that are files, for another file to bring others with components of the same names."""
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
        del sys.modules[name]
    for registry in REGISTRIES.values():
        registry.forget(PREFIX)


@contextmanager
def _blamed(name: str, place: Place, path: str) -> Iterator[None]:
    """Tell what a plugin raises as a fault of where it is listed."""
    try:
        with redirect_stdout(sys.stderr):  # What it prints is no part of what a command prints, such as JSON.
            yield
    except ConfigError as error:
        raise ConfigError([Fault(place, path, f"plugin {name!r}: {fault.message}") for fault in error.faults]) from None
    except BaseException as error:
        # Whatever a user's module raises, SystemExit included, is a fault of that module, told with its own line.
        if isinstance(error, KeyboardInterrupt):
            raise
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            hint = _nearest_module(error.name) or "A file ends with `.py`."
            raise ConfigError(Fault(place, path, f"there is no module {name!r}", hint)) from None
        hint = _last_line(error)
        if isinstance(error, ImportError) and "relative import" in str(error):
            hint += "\nA file stands alone; list it as a module of its package, such as `my_package.parts`."
        raise ConfigError(
            Fault(place, path, f"plugin {name!r} raised {type(error).__name__}: {error}", hint)
        ) from error


def _nearest_module(name: str) -> str:
    """A sentence that names the closest module beside one that does not exist, or nothing."""
    parent, _, last = name.rpartition(".")
    folders = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if parent and folders is None:
        return ""
    # A package that only begins like it is another: artschool_nets is not artschool.
    return nearest(last, [m.name for m in pkgutil.iter_modules(folders) if not last.startswith(m.name)])


def _import_file(file: Path) -> None:
    module_name = f"{PREFIX}{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    # A script or a test may have imported the file under its own name; a second copy would register everything twice.
    if any(getattr(module, "__file__", None) == str(file) for module in list(sys.modules.values())):
        return
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Registered first, so that classes defined in the file can be found by name while it loads.
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
