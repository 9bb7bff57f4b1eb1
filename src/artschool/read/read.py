"""Reads a file, in the language of artschool or of DL-Art-School."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from artschool.components.builtins import load_builtins
from artschool.config import plugins
from artschool.config.borrow import borrow_networks
from artschool.config.compose import finish
from artschool.config.layers import Layered, compose_in_layers
from artschool.config.source import Node, read_file, read_text
from artschool.config.structure import Config
from artschool.errors import ConfigError
from artschool.faults import Fault, FaultKind
from artschool.legacy.convert import convert, is_legacy
from artschool.legacy.injectors import INJECTORS
from artschool.legacy.networks import convert_networks
from artschool.legacy.rules import Notes, once_per_kind, rebuilt
from artschool.read.check import check_tree, in_reading_order

NOTICE = "this is a DL-Art-School file, which is converted in memory; see `artschool convert`"


def read_config(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    with_plugins: bool = True,
    announce: Callable[[str], None] = lambda line: None,
    text: str | None = None,
) -> tuple[Node, list[Fault]]:
    """Read a file, compose it, and convert it if it is a DL-Art-School file.

    Args:
        overrides: Overrides in the language of artschool, also for a DL-Art-School file.
        with_plugins: Whether to import the plugins of a DL-Art-School file, whose components keep their names.
        announce: Called with a notice when the file is a DL-Art-School file, and with each of its plugins.
        text: The content of the file. None: it is read.

    Returns:
        The composed tree, and a warning for each part of a DL-Art-School file that has another meaning now.

    Raises:
        ConfigError: Carries every fault found, and the warnings.
    """
    read = partial(read_file, path) if text is None else partial(read_text, text, str(path))
    tree = read()
    if not is_legacy(tree):
        return borrow_networks(finish(tree, path, overrides), _read_networks)
    announce(f"{path}: {NOTICE}")
    converted, notes = _converted(read(yaml11=True), with_plugins=with_plugins, announce=announce)
    warnings = once_per_kind(in_reading_order(notes.warnings))
    if notes.faults:
        raise with_warnings(ConfigError(in_reading_order(notes.faults)), warnings)
    tree, more = borrow_networks(finish(converted, path, overrides), _read_networks)
    return tree, in_reading_order([*warnings, *more])


def convert_file(
    path: Path, *, with_plugins: bool = True, announce: Callable[[str], None] = lambda line: None
) -> tuple[Node, Notes]:
    """Convert a DL-Art-School file, whose plugins may replace or add components. See `convert`.

    Args:
        with_plugins: Whether to import the plugins that the file lists.
        announce: Called with the name of each plugin before its import.
    """
    return _converted(read_file(path, yaml11=True), with_plugins=with_plugins, announce=announce)


def _converted(old: Node, *, with_plugins: bool, announce: Callable[[str], None]) -> tuple[Node, Notes]:
    load_builtins()
    failed = plugins.load_listed(old, announce, with_plugins=with_plugins, replaced=INJECTORS)
    tree, notes = convert(old)
    if failed:
        # The components of a plugin that fails are unknown only for that reason.
        notes.faults = [*failed, *(f for f in notes.faults if f.kind is not FaultKind.UNKNOWN_COMPONENT)]
    return tree, notes


def _read_networks(path: Path) -> Node:
    """Read a file of either language for its networks. Of a DL-Art-School file, other sections may be wrong."""
    tree = read_file(path)
    if not is_legacy(tree):
        return finish(tree, path)
    old, notes = read_file(path, yaml11=True), Notes()
    networks = convert_networks(old.get("networks") or Node({}, old.place), old.get("path"), notes)
    if notes.faults:
        raise ConfigError(in_reading_order(notes.faults))
    return finish(rebuilt(old, {"networks": networks}), path)


def check_file(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    with_plugins: bool = True,
    announce: Callable[[str], None] = lambda line: None,
    length: int | None = None,
    text: str | None = None,
) -> Config:
    """Read and check a file of either language.

    Args:
        path: The file.
        overrides: Assignments `path.to.key=value`, applied after `base:`.
        with_plugins: Whether to import plugins, as for `check_tree`.
        announce: Called with a notice for a DL-Art-School file, and with each plugin before its import.
        length: The number of samples of the training data, if it is known. See `check_tree`.
        text: The content of the file. None: it is read.

    Raises:
        ConfigError: Carries every fault found. Nothing was started.
    """
    announce = _once(announce)
    tree, warnings = read_config(path, overrides, with_plugins=with_plugins, announce=announce, text=text)
    try:
        return check_tree(tree, with_plugins=with_plugins, announce=announce, notes=warnings, length=length)
    except ConfigError as error:
        raise with_warnings(error, warnings) from None


def _once(announce: Callable[[str], None]) -> Callable[[str], None]:
    """A function that announces each line once."""
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:
            told.add(line)
            announce(line)

    return tell


def read_in_layers(path: Path, overrides: Sequence[str] = ()) -> Layered:
    """Read a file and keep its layers, which show where each value comes from.

    The file may have faults: parts that cannot be composed or converted remain as written.

    Raises:
        ConfigError: The file is invalid YAML, or an override is wrong.
    """
    tree = read_file(path)
    faults: list[Fault] = []
    old = path.read_text(encoding="utf-8-sig").splitlines() if is_legacy(tree) else []
    if old:
        tree, notes = convert_file(path)
        faults += notes.faults
    layered = compose_in_layers(tree, path, overrides)
    try:
        layered.tree, _ = borrow_networks(layered.tree, _read_networks)
    except ConfigError as error:
        faults += error.faults
    layered.faults += faults
    layered.old = old
    return layered


def with_warnings(error: ConfigError, warnings: Sequence[Fault]) -> ConfigError:
    """The same error with warnings, which may explain it. They also become its notes."""
    error.warnings += warnings
    for warning in warnings:
        error.add_note(f"warning: {warning}")
    return error
