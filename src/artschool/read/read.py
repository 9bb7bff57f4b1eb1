"""Reads a file, in the language of artschool or of DL-Art-School."""

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

NOTICE = "this is a DL-Art-School file, which is converted in memory; see `artschool convert`"


def read_config(
    path: Path, overrides: Sequence[str] = (), *, announce: Callable[[str], None] = lambda line: None
) -> tuple[Node, list[Fault]]:
    """Read a file, compose it, and convert it if it is a DL-Art-School file.

    Args:
        overrides: Overrides in the language of artschool, also for a DL-Art-School file.
        announce: Called with a notice when the file is a DL-Art-School file.

    Returns:
        The composed tree, and a warning for each part of a DL-Art-School file that has another meaning now.

    Raises:
        ConfigError: Carries every fault found, and the warnings.
    """
    tree = read_file(path)
    if not is_legacy(tree):
        return borrow_networks(finish(tree, path, overrides), _read_networks)
    announce(f"{path}: {NOTICE}")
    converted, notes = convert(read_file(path, yaml11=True))
    warnings = in_reading_order(notes.warnings)
    if notes.faults:
        raise with_warnings(ConfigError(in_reading_order(notes.faults)), warnings)
    tree, more = borrow_networks(finish(converted, path, overrides), _read_networks)
    return tree, in_reading_order([*warnings, *more])


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
) -> Config:
    """Read and check a file of either language.

    Args:
        path: The file.
        overrides: Assignments `path.to.key=value`, applied after `base:`.
        with_plugins: Whether to import plugins, as for `check_tree`.
        announce: Called with a notice for a DL-Art-School file, and with each plugin before its import.
        length: The number of samples of the training data, if it is known. See `check_tree`.

    Raises:
        ConfigError: Carries every fault found. Nothing was started.
    """
    tree, warnings = read_config(path, overrides, announce=announce)
    try:
        return check_tree(tree, with_plugins=with_plugins, announce=announce, notes=warnings, length=length)
    except ConfigError as error:
        raise with_warnings(error, warnings) from None


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
        tree, notes = convert(read_file(path, yaml11=True))
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
