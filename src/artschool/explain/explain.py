"""What stands at a place of a file: what it is, its value, where that came from and what reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from artschool.config.layers import Layered
from artschool.config.options import Option, component_at, names_below, option_at
from artschool.config.source import Node, exists
from artschool.config.type_names import limits, type_name
from artschool.config.write import flow, short
from artschool.errors import ConfigError, Fault, Place, allowed, nearest
from artschool.explain.origin import origin, shown
from artschool.explain.partial import valid_part
from artschool.explain.readers import NAMED, reader_usages
from artschool.explain.rows import Row, render
from artschool.explain.uses import key_usages, training_keys
from artschool.registry.signature import MISSING
from artschool.wording.synonyms import OPTIONS

MOST_FAULTS = 5
"""So many faults are told; `check` tells all."""


@dataclass
class Explanation:
    """What there is to say about a path.

    Attributes:
        title: The path with its value.
        rows: Labels and texts; a label that is empty goes on with the one above.
        options: Of a mapping with fixed names: name, value and where it came from.
    """

    title: str
    rows: list[Row]
    options: list[tuple[str, str, str]] = field(default_factory=list)


def explain(file: Layered, path: Sequence[str]) -> Explanation:
    """Explain what stands at a path, or would stand there by default.

    Raises:
        ConfigError: Nothing is there and nothing could be; the text says what is near.
    """
    path = _by_position(file.tree, tuple(path))
    node, option = exists(file.tree, path), option_at(file.tree, path)
    config, faults = valid_part(file.tree)
    if node is None and len(path) == 1 and config is not None and (usages := key_usages(config, path[0])):
        return Explanation(f"{path[0]}, a key", list(render(usages)))
    if node is None and (option is None or option.default is MISSING):
        raise ConfigError(_nothing(file, path, option, training_keys(config) if config is not None else []))
    value = shown(node) if node is not None else short(flow(_plain(option.default if option else None)))
    is_mapping = node is not None and isinstance(node.value, dict)
    where = ".".join(path)
    title = (where or str(file.layers[-1].place.source)) if is_mapping else f"{where} = {value}"
    rows = _what(path, node, option)
    rows += _labelled("from", origin(file, path) if path else [])
    if config is not None:
        rows += render(reader_usages(config, path, node, option))
    known = {fault.place for fault in file.faults}  # A wrong reference is no wrong value besides.
    faults = [*file.faults, *(fault for fault in faults if fault.place not in known)]
    told = _within(where, node, faults)
    rows += _labelled("fault", [line for fault in told for line in _lines(fault, where)])
    options = _options(file, node, option) if option is not None and is_mapping else []
    return Explanation(title, rows, options)


def _by_position(tree: Node, path: tuple[str, ...]) -> tuple[str, ...]:
    """Where a parameter stands that `in:` fills: `pixel.fake` is `pixel.in.0`."""
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


def _within(where: str, node: Node | None, faults: Sequence[Fault]) -> list[Fault]:
    """The faults of a path, with those of what it holds; some know only their place."""
    found = [
        fault
        for fault in faults
        if (where and f"{fault.path}.".startswith(f"{where}."))
        or (not fault.path and node is not None and fault.place == node.place)
    ]
    return found[:MOST_FAULTS]


def _lines(fault: Fault, where: str) -> list[str]:
    deeper = fault.path.removeprefix(where).lstrip(".")
    return [f"{deeper}: {fault.message}" if deeper else fault.message, *fault.hint.splitlines()]


def _what(path: Sequence[str], node: Node | None, option: Option | None) -> list[Row]:
    if option is None:
        return [("is", "no option")]
    component = component_at(option, node) if node is not None else None
    lines = []
    if component is not None:
        lines += [f"the {component.kind.one} {component.name}", component.summary]
    elif len(path) == 2 and path[0] in NAMED:
        lines += [f"{_article(NAMED[path[0]])} {NAMED[path[0]]}", _summary(option)]
    elif not path or (node is not None and isinstance(node.value, dict) and option.section is not None):
        lines += ["a section" if path else "", option.text or _summary(option)]
    else:
        lines += [_named(path, option), option.text]
        return [
            *_labelled("is", [line for line in lines if line]),
            ("takes", _takes(option, is_item=path[-1].isdecimal())),
        ]
    return _labelled("is", [line for line in lines if line])


def _named(path: Sequence[str], option: Option) -> str:
    """An option with what holds it; what stands in a list is counted from 0, as in its path."""
    end = len(path)
    while end > 1 and path[end - 1].isdecimal() and not option.fills:
        end -= 1
    items = "".join(f"item {index} of " for index in reversed(path[end:]))
    name = option.fills if path[-1].isdecimal() and option.fills else path[end - 1]
    component = f"the {option.owner.kind.one} {option.owner.name}" if option.owner is not None else ""
    return f"{items}`{name}` of {component or '.'.join(path[: end - 1]) or 'the file'}"


def _takes(option: Option, *, is_item: bool = False) -> str:
    """The type, the bounds and the default."""
    parts = [type_name(option.annotation), limits(option.annotation)]
    if not option.fills and not is_item:
        parts.append("required" if option.default is MISSING else f"default {short(flow(_plain(option.default)))}")
    return ", ".join(part for part in parts if part)


def _summary(option: Option) -> str:
    return (option.section.__doc__ or "").split("\n", 1)[0] if option.section is not None else option.text


def _options(file: Layered, node: Node | None, option: Option) -> list[tuple[str, str, str]]:
    """The options of a mapping: those written first, then those that have a default."""
    known = names_below(option, node) if node is not None else {}
    written = node.value if node is not None and isinstance(node.value, dict) else {}
    rows = []
    for name, child in written.items():
        # Beside a path that stands above, the line is enough.
        rows.append((name, short(shown(child), 40), _brief(file, child)))
    filled = _filled(option, node)
    for name, each in known.items():
        if name not in {*written, *filled, "in", "base", "from"} and each.default is not MISSING:
            rows.append((name, short(flow(_plain(each.default)), 40), "default"))
    return rows


def _filled(option: Option, node: Node | None) -> set[str]:
    """The parameters that `in:` gives."""
    component = component_at(option, node) if node is not None else None
    given = node.get("in") if node is not None else None
    if component is None or given is None:
        return set()
    inputs = [parameter.name for parameter in component.signature.inputs]
    return set(inputs[: len(given.value)] if isinstance(given.value, list) else inputs[:1])


def _brief(file: Layered, node: Node) -> str:
    place = node.start
    if not place.line:
        return "override"
    if place.source == file.layers[-1].place.source:
        return f"line {place.line}"
    return str(place).rsplit("/", 1)[-1]


def _nothing(file: Layered, path: Sequence[str], option: Option | None, keys: Sequence[str]) -> Fault:
    """That a path leads nowhere, with the names that there are where it ends."""
    place, where = Place(file.layers[-1].place.source), ".".join(path)
    end = next(end for end in range(len(path)) if exists(file.tree, path[: end + 1]) is None)
    above, name = path[:end], path[end]
    node, holder = exists(file.tree, above), option_at(file.tree, above)
    known = names_below(holder, node) if holder is not None and node is not None else {}
    if option is not None and name in known:
        return Fault(place, where, f"is not written and has no default; it takes {_takes(option)}")
    names = {*known, *(node.value if node is not None and isinstance(node.value, dict) else ())}
    message = f"there is no {name!r} in {'.'.join(above) or 'the file'}"
    inside = [f"{section}.{name}" for section in NAMED if exists(file.tree, (section, name)) and not above]
    if inside:
        return Fault(place, where, f"{message} itself", f"Did you mean {' or '.join(map(repr, inside))}?")
    close = "" if above else nearest(name, keys)
    synonyms = OPTIONS if known else None  # Free names are the user's own words.
    return Fault(place, where, message, close or (allowed("There are", name, names, synonyms) if names else ""))


def _labelled(label: str, lines: Sequence[str]) -> list[Row]:
    return [(label if index == 0 else "", line) for index, line in enumerate(lines)]


def _plain(value: object) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(by_alias=True, exclude_unset=True)
    return value if isinstance(value, dict | list | tuple | str | int | float | bool | None) else str(value)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
