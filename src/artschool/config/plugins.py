"""Imports the files and modules that `plugins:` lists, and nothing else of the user's."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from importlib.metadata import entry_points
from pathlib import Path

from artschool.errors import ConfigError, Fault, Place

ENTRY_POINTS = "artschool"


def load_installed() -> None:
    """Import what installed packages offer under the entry-point group `artschool`."""
    for point in entry_points(group=ENTRY_POINTS):
        point.load()


def load_plugin(name: str, place: Place, path: str) -> None:
    """Import one plugin: a `.py` file, relative to the file that lists it, or the name of a module.

    Raises:
        ConfigError: It does not exist, or it raises; the fault names the line of the plugin.
    """
    try:
        if name.endswith(".py"):
            _import_file((Path(place.source).parent / name).resolve())
        else:
            importlib.import_module(name)
    except ConfigError as error:
        raise ConfigError([Fault(place, path, f"plugin {name!r}: {fault.message}") for fault in error.faults]) from None
    except FileNotFoundError as error:
        raise ConfigError(
            Fault(place, path, f"no file {error.filename}", "A path is relative to the file it stands in.")
        ) from None
    except BaseException as error:
        # Whatever a user's module raises, SystemExit included, is a fault of that module, told with its own line.
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigError(
            Fault(place, path, f"plugin {name!r} raised {type(error).__name__}: {error}", _last_line(error))
        ) from error


def _import_file(file: Path) -> None:
    module_name = f"artschool_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    # A script or a test may have imported the file under its own name; a second copy would register everything twice.
    if any(getattr(module, "__file__", None) == str(file) for module in list(sys.modules.values())):
        return
    if not file.is_file():
        raise FileNotFoundError(2, "no such file", str(file))
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
    frames = traceback.extract_tb(error.__traceback__)
    return f"at {frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
