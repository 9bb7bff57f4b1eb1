"""Checks a composed tree: returns a config without faults, or raises every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from artschool.components.builtins import load_builtins
from artschool.config import plugins
from artschool.config.epochs import structure_in_iterations
from artschool.config.flow import check_flow
from artschool.config.numbers import check_numbers
from artschool.config.ranges import check_whole_numbers
from artschool.config.references import check_references, warn_of_unused
from artschool.config.source import Node
from artschool.config.structure import Config
from artschool.errors import ConfigError
from artschool.faults import Fault, FaultKind
from artschool.wording.names import allowed


def check_tree(
    tree: Node,
    *,
    with_plugins: bool = True,
    announce: Callable[[str], None] = lambda line: None,
    notes: Iterable[Fault] = (),
    length: int | None = None,
) -> Config:
    """Check a composed tree.

    Args:
        with_plugins: Whether to import what `plugins:` lists. Without it, components of plugins are unknown.
        announce: Called with the name of each plugin before its import.
        notes: Warnings to add to those of the config.
        length: The number of samples of the training data, if it is known, so that it need not be built.

    Raises:
        ConfigError: Carries every fault found.
    """
    load_builtins()
    faults = plugins.load_listed(tree, announce, with_plugins=with_plugins)
    config, found = structure_in_iterations(tree, length)
    # Plugins that cannot be imported are one fault; their components are unknown only for that reason.
    plugins_fail = bool(faults) or any(fault.path == "plugins" for fault in found)
    faults += [fault for fault in found if not (plugins_fail and fault.kind is FaultKind.UNKNOWN_COMPONENT)]
    assumed: list[Fault] = []  # Lengths that the faults may depend on.
    if config is not None:
        assumed = [*config.warnings]
        faults += check_references(config)
        faults += check_numbers(config)
        flow_faults, warnings = check_flow(config)
        faults += flow_faults
        faults += [] if faults else check_whole_numbers(config)
        config.warnings += [*notes, *warnings, *warn_of_unused(config)]
    if faults or config is None:
        found = in_reading_order(_with_names_at_its_level(fault, tree) for fault in faults)
        error = ConfigError(once_per_cause(found))
        error.warnings += assumed
        raise error
    config.warnings = in_reading_order(config.warnings)
    return config


def in_reading_order(faults: Iterable[Fault]) -> list[Fault]:
    """Faults sorted by location, without duplicates."""
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.place.source, fault.place.line, fault.place.column))


def once_per_cause(faults: Iterable[Fault]) -> list[Fault]:
    """The first fault of each cause, with the locations of the others, in reading order."""
    by_cause: dict[object, list[Fault]] = {}
    for fault in faults:
        by_cause.setdefault(fault.cause or fault, []).append(fault)
    return in_reading_order(_with_locations(*same) for same in by_cause.values())


def _with_locations(fault: Fault, *others: Fault) -> Fault:
    alike = [other for other in others if other.kind is fault.kind]
    lines = [fault.hint, _same_at(fault, alike)]
    if further := [other for other in others if other.kind is not fault.kind]:
        first, *more = further
        what = f"{first.path} ({first.place}) {first.message}"
        lines.append(f"Probably for the same reason, {what}. {_same_at(first, more)}".strip())
    return replace(fault, hint="\n".join(line for line in lines if line))


def _same_at(fault: Fault, others: Sequence[Fault]) -> str:
    if not others:
        return ""
    *earlier, last = [
        f"{other.path} ({other.place}{f', {other.found!r}' if other.found != fault.found else ''})" for other in others
    ]
    return f"The same at {', '.join(earlier)} and {last}." if earlier else f"The same at {last}."


def _with_names_at_its_level(fault: Fault, tree: Node) -> Fault:
    """Add the names at the same level to the fault of a mapping that exists only because an override's path names it.

    The mapping lacks options because the path is misspelt: `steps.gne.clip_grad_norm=1` creates a step `gne`.
    """
    *above, name = fault.path.split(".")
    is_made_by_path = f"{fault.path}." in fault.place.source and not fault.place.line
    siblings = tree.at(above).value
    if fault.kind is not FaultKind.MISSING_OPTION or not is_made_by_path or not isinstance(siblings, dict):
        return fault
    written = [key for key, node in siblings.items() if node.place.line]
    owner = f"`{'.'.join(above)}`" if above else "The file"
    hint = allowed(f"{owner} contains", name, written) if written else ""
    return replace(fault, hint="\n".join(line for line in (fault.hint, hint) if line))
