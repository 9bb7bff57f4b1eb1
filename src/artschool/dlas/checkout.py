"""Imports what a file names from a checkout of DL-Art-School, and registers it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from artschool.dlas import adapters
from artschool.dlas.scan import Part, is_checkout, parts_of
from artschool.errors import ConfigError
from artschool.paths import is_dir, is_file
from artschool.registry import REGISTRIES

ORIGIN = "artschool_plugin_dlas."
"""Prefix of the modules of what checkouts register, so that it is forgotten like that of a plugin file."""
TOP = ("data", "models", "trainer", "utils", "maybe_bnb")
"""The packages and modules of a checkout that its own code imports by these names."""


@dataclass
class Loaded:
    """What was registered, and the parts whose modules cannot be imported, with the reason."""

    parts: list[Part] = field(default_factory=list)
    skipped: dict[Part, str] = field(default_factory=dict)


class Checkout:
    """A checkout: the folder `codes` of the repository, or the package of a fork that is installed as one.

    Args:
        folder: `codes`, or the folder that contains it.

    Raises:
        ConfigError: The folder does not exist, or is not a checkout.
    """

    def __init__(self, folder: Path) -> None:
        if not is_dir(folder):
            raise ConfigError(f"folder {folder} does not exist")
        self.folder = next((f for f in (folder, folder / "codes") if is_checkout(f)), folder)
        if not is_checkout(self.folder):
            raise ConfigError(f"{folder} is not a checkout of DL-Art-School: it does not contain models/ and trainer/")

    @property
    def package(self) -> str:
        """The prefix of its modules' names: empty, or for a package its name and a dot."""
        return f"{self.folder.name}." if is_file(self.folder / "__init__.py") else ""

    @cached_property
    def parts(self) -> list[Part]:
        """Everything that the checkout defines."""
        return list(parts_of(self.folder, self.package))

    def named(self, names: Mapping[str, Collection[str]] | None) -> list[Part]:
        """The parts of these names, without those whose name is that of another component.

        Args:
            names: Names by kind. None: all parts.

        Raises:
            ConfigError: The checkout defines a name twice.
        """
        found: dict[tuple[str, str], Part] = {}
        for part in self.parts:
            is_other = part.name in REGISTRIES[part.kind] and not _is_loaded(part)
            if is_other or (names is not None and part.name not in names[part.kind]):
                continue
            first = found.setdefault((part.kind, part.name), part)
            if first.file != part.file:
                one = REGISTRIES[part.kind].kind.one
                raise ConfigError(f"{one} {part.name!r} is defined twice: in {self._at(first)} and {self._at(part)}")
        return list(found.values())

    def text(self, part: Part) -> str:
        """A part as a message names it."""
        return f"{REGISTRIES[part.kind].kind.one} {part.name!r} of {self._at(part)}"

    def load(self, parts: Collection[Part], opt: Mapping[str, Any]) -> Loaded:
        """Import the modules of these parts and register them. Runs code of the checkout.

        Args:
            opt: The whole file, which the code finds in `utils.util.loaded_options`.

        Raises:
            ConfigError: A module of the same name as one of the checkout's is already imported.
        """
        loaded = Loaded()
        if not parts:
            return loaded
        self._make_importable()
        shared = self._prepare(opt)
        for part in parts:
            if _is_loaded(part):
                loaded.parts.append(part)
                continue
            try:
                modules = [importlib.import_module(name) for name in part.needs]
                target = _adapted(part, getattr(modules[0], part.symbol), shared)
            except Exception as error:  # Of any code.
                loaded.skipped[part] = f"{type(error).__name__}: {error}"
                continue
            target.__module__, target.__qualname__ = f"{ORIGIN}{part.needs[0]}", f"{part.symbol}.{part.name}"
            target.__doc__ = getattr(modules[0], part.symbol).__doc__ or f"The {self.text(part)}."
            REGISTRIES[part.kind].register(part.name, target)
            loaded.parts.append(part)
        return loaded

    def _at(self, part: Part) -> str:
        return part.file.relative_to(self.folder).as_posix()

    def _make_importable(self) -> None:
        """Put the checkout first on the path, in place of other checkouts."""
        root = self.folder.parent if self.package else self.folder
        for name in [self.package.rstrip(".")] if self.package else TOP:
            known = _folder_of(sys.modules.get(name))
            if known is not None and known not in {root, *_roots()}:
                raise ConfigError(
                    f"module {name!r} is already imported from {known}, but the checkout imports its own by this name"
                )
        for other in _roots() - {root}:
            _forget_root(other)
            for registry in REGISTRIES.values():
                registry.forget(ORIGIN)
        if sys.path[:1] != [str(root)]:
            sys.path[:] = [str(root), *(path for path in sys.path if path != str(root))]
            importlib.invalidate_caches()

    def _prepare(self, opt: Mapping[str, Any]) -> adapters.Options:
        """Set what `train.py` sets before it builds anything: the options that code reads, and no 8-bit layers."""
        shared: adapters.Options = adapters.options(opt)
        util, switches = _imported(f"{self.package}utils.util"), _imported(f"{self.package}maybe_bnb")
        if switches is not None and not hasattr(switches.nn, "Linear"):
            switches.populate(False, False, False, embedding=None)
        if util is not None:
            # The old file comes first, and then what it is converted to.
            shared = getattr(util, "loaded_options", None) or shared
            vars(util)["loaded_options"] = shared
        return shared


def forget() -> None:
    """Forget the modules of all checkouts, so that another one can be imported."""
    for root in _roots():
        _forget_root(root)


def _is_loaded(part: Part) -> bool:
    """Whether a part of a checkout has this name already."""
    registry = REGISTRIES[part.kind]
    return part.name in registry and registry.get(part.name).origin.startswith(ORIGIN)


def _adapted(part: Part, target: Any, shared: adapters.Options) -> Callable[..., Any]:
    if part.kind == "networks":
        return adapters.network(part.name, target, shared)
    if part.kind == "datasets":
        return adapters.dataset(part.name, target)
    if not any(base.__name__ == "Injector" for base in target.__mro__):
        raise TypeError(f"{part.symbol} is not a subclass of Injector")
    return adapters.injector(part.name, target, shared)


def _imported(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception:  # A part that needs the module reports it.
        return None


def _roots() -> set[Path]:
    """The checkouts on the path."""
    return {folder for path in sys.path if is_checkout(folder := Path(path).resolve())}


def _folder_of(module: ModuleType | None) -> Path | None:
    """The folder from which a module is imported."""
    if module is None:
        return None
    paths = list(getattr(module, "__path__", [])) or [getattr(module, "__file__", None) or ""]
    return Path(paths[0]).resolve().parent


def _forget_root(root: Path) -> None:
    modules = [(name, _folder_of(module)) for name, module in list(sys.modules.items()) if name.split(".")[0] in TOP]
    # Last, because packages without `__init__.py` look their folders up in the path and in the packages that hold them.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != root]
    for name in [name for name, folder in modules if folder is not None and folder.is_relative_to(root)]:
        del sys.modules[name]
