"""Imports the files and modules that `plugins:` lists, and no other code of the user."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from artschool import dlas
from artschool.config.paths import named_at
from artschool.config.plugin_modules import PREFIX, begin_list, forget_modules, import_file
from artschool.config.source import Node
from artschool.config.working_folder import WorkingFolder
from artschool.errors import ConfigError
from artschool.faults import Fault, Place
from artschool.registry import REGISTRIES
from artschool.storage.processes import ended_if_forked
from artschool.wording.names import nearest

ENTRY_POINTS = "artschool"
CHECKOUT = "dlas:"
"""Prefix of a plugin that is the path of a checkout of DL-Art-School."""
NAMING = {"type": ("networks", "datasets", "injectors"), "mode": ("datasets",)} | dict.fromkeys(
    ("which_model", "which_model_G", "which_model_D"), ("networks",)
)
"""The options of both languages that name a component, and its kinds."""


def load_installed() -> None:
    """Import the entry points of installed packages in the group `artschool`.

    Raises:
        ConfigError: An import raises.
    """
    for point in entry_points(group=ENTRY_POINTS):
        with _blamed(point.value, Place(f"installed package {point.dist.name}" if point.dist else ""), ""):
            point.load()


def load_listed(
    tree: Node,
    announce: Callable[[str], None] = lambda line: None,
    *,
    with_plugins: bool = True,
    replaced: Collection[str] = (),
) -> list[Fault]:
    """Import the entry points of installed packages, and what `plugins:` lists. Returns what fails as faults.

    Args:
        announce: Called with the name of each plugin of the file before its import, and with what a checkout of
            DL-Art-School provides.
        with_plugins: Whether to import anything. Without it, what a checkout would provide is only announced.
        replaced: Injectors of DL-Art-School that are not taken from a checkout.
    """
    if with_plugins:
        load_installed()
    listed = tree.get("plugins")
    begin_list()
    faults: list[Fault] = []
    for index, node in enumerate(listed.value if listed is not None and isinstance(listed.value, list) else []):
        if not isinstance(node.value, str):
            continue
        try:
            if node.value.startswith(CHECKOUT):
                _load_checkout(node.value, node.place, f"plugins.{index}", announce, tree, with_plugins, replaced)
            elif with_plugins:
                announce(f"plugin {node.value}")
                load_plugin(node.value, node.place, f"plugins.{index}")
        except ConfigError as error:
            faults += error.faults
    return faults


def load_plugin(name: str, place: Place, path: str) -> None:
    """Import one plugin: a `.py` file, relative to the file that lists it, a module, or all of a checkout.

    Raises:
        ConfigError: The plugin does not exist, or its import raises. The fault names the line of the plugin.
    """
    if name.startswith(CHECKOUT):
        _load_checkout(name, place, path)
    elif name.endswith(".py"):
        file = file_of(name, place)
        if (missing := Fault.missing_file(place, path, file)) is not None:
            raise ConfigError(missing)
        with _blamed(name, place, path):
            import_file(file)
    else:
        with _blamed(name, place, path):
            importlib.import_module(name)


def _load_checkout(
    name: str,
    place: Place,
    path: str,
    announce: Callable[[str], None] = lambda line: None,
    tree: Node | None = None,
    with_plugins: bool = True,
    replaced: Collection[str] = (),
) -> None:
    """Import from a checkout what a file names, or all of it, and announce each part."""
    if with_plugins:
        announce(f"plugin {name}")
    with _blamed(name, place, path):
        checkout = dlas.Checkout(file_of(name, place))
        parts = checkout.named(None if tree is None else _named_in(tree, replaced))
        loaded = checkout.load(parts if with_plugins else (), {} if tree is None else tree.plain())
    for part in parts if not with_plugins else ():
        announce(f"plugin {name} would load {checkout.text(part)}")
    for part in loaded.parts:
        announce(f"plugin {name}: {checkout.text(part)}")
    for part, reason in loaded.skipped.items():
        announce(f"warning: plugin {name}: {checkout.text(part)} is not available: {reason}")


def _named_in(tree: Node, replaced: Collection[str]) -> Mapping[str, Collection[str]]:
    """The names of components that a file mentions, by kind."""
    names: dict[str, set[str]] = {kind: set() for kind in NAMING["type"]}

    def collect(value: Any) -> None:
        for key, part in value.items() if isinstance(value, dict) else (("", part) for part in value):
            if isinstance(part, dict | list):
                collect(part)
            elif isinstance(part, str):
                for kind in NAMING.get(key, ()):
                    names[kind].add(part)

    collect(tree.plain())
    names["injectors"] -= {*replaced}
    return names


def file_of(name: str, place: Place) -> Path:
    """The path of a `.py` file or of a checkout that is listed at a location."""
    return named_at(place, name.removeprefix(CHECKOUT)).resolve()


def is_path(name: str) -> bool:
    """Whether a plugin is named by a path, and not as a module."""
    return name.endswith(".py") or name.startswith(CHECKOUT)


def at_path(name: str, path: Path | str) -> str:
    """A plugin that is named by a path, under another path."""
    return f"{CHECKOUT}{path}" if name.startswith(CHECKOUT) else str(path)


def forget_files() -> None:
    """Forget the plugin files, so that another file may register other components of the same names."""
    forget_modules()
    dlas.forget()
    for registry in REGISTRIES.values():
        registry.forget(PREFIX)


@contextmanager
def _blamed(name: str, place: Place, path: str) -> Iterator[None]:
    """Turn whatever a plugin raises into a fault at the location that lists it."""
    working_folder = WorkingFolder()
    try:
        # The plugin's output must not mix with a command's, such as JSON.
        with redirect_stdout(sys.stderr), ended_if_forked(lambda: f"plugin {name!r}"):
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
    finally:
        working_folder.keep(partial(print, file=sys.stderr))


def _nearest_module(name: str) -> str:
    """A sentence that names the module closest to a missing one; empty when none is close."""
    parent, _, last = name.rpartition(".")
    folders = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if parent and folders is None:
        return ""
    # Do not suggest a module whose name is a prefix of the missing one: artschool for artschool_nets.
    return nearest(last, [m.name for m in pkgutil.iter_modules(folders) if not last.startswith(m.name)])


def _last_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"at {error.filename}:{error.lineno}: {(error.text or '').strip()}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    return f"at {frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
