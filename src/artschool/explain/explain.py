"""Explain the value at a path of a file: its meaning, its value, where that was set, and what reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from artschool.config.layers import Layered
from artschool.config.options import Option, component_at, names_below, option_at
from artschool.config.source import Node, exists
from artschool.config.structure import Config
from artschool.config.type_names import amount_of, limits, type_name
from artschool.config.write import flow, short
from artschool.errors import ConfigError
from artschool.explain.origin import origin, value_text
from artschool.explain.partial import valid_part
from artschool.explain.readers import NAMED_SECTIONS, reader_usages
from artschool.explain.rows import Row, render
from artschool.explain.uses import key_usages, training_keys
from artschool.faults import Fault, Place
from artschool.registry.signature import MISSING
from artschool.registry.units import ASSUMED_EPOCH
from artschool.wording.names import allowed, nearest
from artschool.wording.synonyms import OPTIONS

MOST_FAULTS = 5
"""Maximum number of faults that are printed. `check` prints all."""


@dataclass
class Explanation:
    """The explanation of a path.

    Attributes:
        title: The path with its value.
        rows: Labels and texts. An empty label continues the row above.
        options: Name, value and location of each option, for a mapping with fixed names.
    """

    title: str
    rows: list[Row]
    options: list[tuple[str, str, str]] = field(default_factory=list)


def explain(file: Layered, path: Sequence[str]) -> Explanation:
    """Explain the value at a path, written or default, or a key.

    Raises:
        ConfigError: The path does not exist, or it has neither a value nor a default. The hint lists similar names.
    """
    path = _input_path(file.tree, tuple(path))
    node, option = exists(file.tree, path), option_at(file.tree, path)
    config, faults = valid_part(file.tree)
    if node is None and len(path) == 1 and config is not None and (usages := key_usages(config, path[0])):
        return Explanation(f"{path[0]}, a key", list(render(usages)))
    if node is None and (option is None or option.default is MISSING):
        raise ConfigError(_unknown_path(file, path, option, training_keys(config) if config is not None else []))
    rows = _identity(path, node, option)
    rows += _converted(node, option, config)
    rows += _labelled("from", origin(file, path) if path else [])
    if config is not None:
        rows += render(reader_usages(config, path, node, option))
    rows += _labelled("fault", _fault_lines(file, path, node, faults))
    is_mapping = node is not None and isinstance(node.value, dict)
    options = _options(file, node, option) if option is not None and is_mapping else []
    return Explanation(_title(file, path, node, option), rows, options)


def _title(file: Layered, path: Sequence[str], node: Node | None, option: Option | None) -> str:
    where = ".".join(path)
    if node is None:
        return f"{where} = {short(flow(_plain(option.default if option else None)))}"
    if isinstance(node.value, dict):
        return where or str(file.layers[-1].place.source)
    return f"{where} = {value_text(node)}"


def _input_path(tree: Node, path: tuple[str, ...]) -> tuple[str, ...]:
    """The path of a parameter that `in:` fills: `pixel.fake` becomes `pixel.in.0`."""
    option, node = option_at(tree, path[:-1]), exists(tree, path[:-1])
    component = component_at(option, node) if option is not None and node is not None else None
    given = node.get("in") if node is not None else None
    if component is None or given is None or node is None or node.get(path[-1]) is not None:
        return path
    inputs = [parameter.name for parameter in component.signature.inputs]
    if path[-1] not in inputs:
        return path
    index, whole = str(inputs.index(path[-1])), (*path[:-1], "in")
    return (*whole, index) if given.child(index) is not None else whole if index == "0" else path


def _fault_lines(file: Layered, path: Sequence[str], node: Node | None, faults: Sequence[Fault]) -> list[str]:
    """The texts of the first faults at a path and below it.

    Args:
        faults: The faults of the composed file. One at the location of a wrong reference is not repeated.
    """
    known = {fault.place for fault in file.faults}
    faults = [*file.faults, *(fault for fault in faults if fault.place not in known)]
    found = [fault for fault in faults if _is_at(fault, path, node)]
    lines = []
    for fault in found[:MOST_FAULTS]:
        below = fault.path.removeprefix(".".join(path)).lstrip(".")
        lines += [f"{below}: {fault.message}" if below else fault.message, *fault.hint.splitlines()]
    return lines


def _is_at(fault: Fault, path: Sequence[str], node: Node | None) -> bool:
    """Whether a fault is at a path or below it. A fault without a path is found by its location."""
    if not fault.path:
        return node is not None and fault.place == node.place
    return bool(path) and f"{fault.path}.".startswith(f"{'.'.join(path)}.")


def _identity(path: Sequence[str], node: Node | None, option: Option | None) -> list[Row]:
    if option is None:
        return [("is", "an unknown option")]
    component = component_at(option, node) if node is not None else None
    lines = []
    if component is not None:
        lines += [f"the {component.kind.one} {component.name}", component.summary]
    elif len(path) == 2 and path[0] in NAMED_SECTIONS:
        lines += [f"{_article(NAMED_SECTIONS[path[0]])} {NAMED_SECTIONS[path[0]]}", _summary(option)]
    elif not path or (node is not None and isinstance(node.value, dict) and option.section is not None):
        lines += ["a section" if path else "", option.text or _summary(option)]
    else:
        lines += [_option_name(path, option), option.text]
        return [
            *_labelled("is", [line for line in lines if line]),
            ("takes", _accepted(option, is_item=path[-1].isdecimal())),
        ]
    return _labelled("is", [line for line in lines if line])


def _option_name(path: Sequence[str], option: Option) -> str:
    """An option with its component or section. Items of a list are counted from 0, as in the path."""
    end = len(path)
    while end > 1 and path[end - 1].isdecimal() and not option.fills:
        end -= 1
    items = "".join(f"item {index} of " for index in reversed(path[end:]))
    name = option.fills if path[-1].isdecimal() and option.fills else path[end - 1]
    component = f"the {option.owner.kind.one} {option.owner.name}" if option.owner is not None else ""
    return f"{items}`{name}` of {component or '.'.join(path[: end - 1]) or 'the file'}"


def _accepted(option: Option, *, is_item: bool = False) -> str:
    """The type, the bounds and the default."""
    parts = [type_name(option.annotation), limits(option.annotation)]
    if not option.fills and not is_item:
        parts.append("required" if option.default is MISSING else f"default {short(flow(_plain(option.default)))}")
    return ", ".join(part for part in parts if part)


def _converted(node: Node | None, option: Option | None, config: Config | None) -> list[Row]:
    """What an amount such as `2 epochs` is in iterations."""
    amount = amount_of(option.annotation) if option is not None else None
    text = node.masked() if node is not None else None
    if amount is None or config is None or not isinstance(text, str):
        return []
    number, units = amount.iterations(text, config.units), config.units
    if number is None:
        return []
    if "epoch" not in text:
        return [("means", f"{number:,}, with {units.batch_size:,} samples in an iteration")]
    epoch = f"{units.per_epoch:,}" if units.per_epoch else f"assumed {ASSUMED_EPOCH:,}"
    return [("means", f"{number:,}, with {epoch} iterations in an epoch")]


def _summary(option: Option) -> str:
    return (option.section.__doc__ or "").split("\n", 1)[0] if option.section is not None else option.text


def _options(file: Layered, node: Node | None, option: Option) -> list[tuple[str, str, str]]:
    """The options of a mapping: the written ones, then those with a default."""
    known = names_below(option, node) if node is not None else {}
    written = node.value if node is not None and isinstance(node.value, dict) else {}
    rows = []
    for name, child in written.items():
        rows.append((name, short(value_text(child), 40), _short_location(file, child)))
    filled = _filled_by_in(option, node)
    for name, known_option in known.items():
        if name not in {*written, *filled, "in", "base", "from"} and known_option.default is not MISSING:
            rows.append((name, short(flow(_plain(known_option.default)), 40), "default"))
    return rows


def _filled_by_in(option: Option, node: Node | None) -> set[str]:
    """The names of the parameters that `in:` fills."""
    component = component_at(option, node) if node is not None else None
    given = node.get("in") if node is not None else None
    if component is None or given is None:
        return set()
    inputs = [parameter.name for parameter in component.signature.inputs]
    return set(inputs[: len(given.value)] if isinstance(given.value, list) else inputs[:1])


def _short_location(file: Layered, node: Node) -> str:
    """The line of a value in the explained file; the name of the file as well for any other."""
    place = node.start
    if not place.line:
        return "override"
    if place.source == file.layers[-1].place.source:
        return f"line {place.line}"
    return str(place).rsplit("/", 1)[-1]


def _unknown_path(file: Layered, path: Sequence[str], option: Option | None, keys: Sequence[str]) -> Fault:
    """The fault for a path that does not exist, with the names that exist where it ends."""
    place, where = Place(file.layers[-1].place.source), ".".join(path)
    end = next(end for end in range(len(path)) if exists(file.tree, path[: end + 1]) is None)
    above, name = path[:end], path[end]
    node, holder = exists(file.tree, above), option_at(file.tree, above)
    known = names_below(holder, node) if holder is not None and node is not None else {}
    if option is not None and name in known:
        return Fault(place, where, f"is not set and has no default; it takes {_accepted(option)}")
    names = {*known, *(node.value if node is not None and isinstance(node.value, dict) else ())}
    message = f"unknown name {name!r} in {'.'.join(above) or 'the file'}"
    inside = [f"{section}.{name}" for section in NAMED_SECTIONS if exists(file.tree, (section, name)) and not above]
    if inside:
        return Fault(place, where, message, f"Did you mean {' or '.join(map(repr, inside))}?")
    close = "" if above else nearest(name, keys)
    synonyms = OPTIONS if known else None  # No synonyms where users choose the names.
    return Fault(place, where, message, close or (allowed("Available names", name, names, synonyms) if names else ""))


def _labelled(label: str, lines: Sequence[str]) -> list[Row]:
    return [(label if index == 0 else "", line) for index, line in enumerate(lines)]


def _plain(value: object) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(by_alias=True, exclude_unset=True)
    return value if isinstance(value, dict | list | tuple | str | int | float | bool | None) else str(value)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
