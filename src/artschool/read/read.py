"""The one way to read a file, whichever language it is written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from artschool.config.borrow import borrow_networks
from artschool.config.compose import finish
from artschool.config.layers import Layered, compose_in_layers
from artschool.config.source import Node, read_file
from artschool.config.structure import Config
from artschool.errors import ConfigError, Fault
from artschool.legacy.convert import convert, is_legacy
from artschool.legacy.networks import convert_networks
from artschool.legacy.rules import Notes, rebuilt
from artschool.read.check import check_tree, in_reading_order

NOTICE = "this is a file of DL-Art-School; reading it as ours, see `artschool convert`"


def read_config(
    path: Path, overrides: Sequence[str] = (), *, announce: Callable[[str], None] = lambda line: None
) -> tuple[Node, list[Fault]]:
    """Read a file with all that belongs to it.

    Args:
        overrides: In our language, also for an old file.
        announce: Told that a file is an old one.

    Returns:
        The composed tree, and a warning for each thing in an old file that means something else now.

    Raises:
        ConfigError: With every fault found, and the warnings as its notes.
    """
    tree = read_file(path)
    if not is_legacy(tree):
        return borrow_networks(finish(tree, path, overrides), path, _read_networks)
    announce(f"{path}: {NOTICE}")
    converted, notes = convert(read_file(path, yaml11=True))
    warnings = in_reading_order(notes.warnings)
    if notes.faults:
        raise with_warnings(ConfigError(in_reading_order(notes.faults)), warnings)
    tree, more = borrow_networks(finish(converted, path, overrides), path, _read_networks)
    return tree, in_reading_order([*warnings, *more])


def _read_networks(path: Path) -> Node:
    """A file of either language for the sake of its networks: what else an old one holds may be wrong."""
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
) -> Config:
    """Read and prove a file of either language.

    Args:
        path: The file.
        overrides: `path.to.key=value`, applied after `base:`.
        with_plugins: As for `check_tree`.
        announce: Told that a file is an old one, and each plugin before it is imported.

    Raises:
        ConfigError: With every fault that was found. Nothing was started.
    """
    tree, warnings = read_config(path, overrides, announce=announce)
    try:
        return check_tree(tree, with_plugins=with_plugins, announce=announce, notes=warnings)
    except ConfigError as error:
        raise with_warnings(error, warnings) from None


def read_in_layers(path: Path, overrides: Sequence[str] = ()) -> Layered:
    """A file in the layers of which it is composed, for those who ask where something came from.

    It may have faults: what could not be composed or converted stands as it was.

    Raises:
        ConfigError: It is no YAML, or an override is none.
    """
    tree = read_file(path)
    faults: list[Fault] = []
    old = path.read_text(encoding="utf-8-sig").splitlines() if is_legacy(tree) else []
    if old:
        tree, notes = convert(read_file(path, yaml11=True))
        faults += notes.faults
    layered = compose_in_layers(tree, path, overrides)
    try:
        layered.tree, _ = borrow_networks(layered.tree, path, _read_networks)
    except ConfigError as error:
        faults += error.faults
    layered.faults += faults
    layered.old = old
    return layered


def with_warnings(error: ConfigError, warnings: Sequence[Fault]) -> ConfigError:
    """The same error with the warnings, which may explain it, also as notes."""
    error.warnings += warnings
    for warning in warnings:
        error.add_note(f"warning: {warning}")
    return error
