"""What stands at a place of a file: what it is, its value, where that came from and what reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from artschool.config.component import names_in
from artschool.config.options import Option, component_at, names_below, option_at
from artschool.config.origin import Layered, exists, origin, short, shown
from artschool.config.source import Node
from artschool.config.structure import Config
from artschool.config.type_names import limits, type_name
from artschool.config.uses import (
    Row,
    all_components,
    as_far_as_sound,
    component_rows,
    data_rows,
    key_rows,
    network_rows,
    step_rows,
)
from artschool.config.when import ALWAYS
from artschool.config.write import flow
from artschool.errors import ConfigError, Fault, Place, allowed
from artschool.signature import MISSING, Role

SERVES = {
    "name": "the run: it names its folder below `runs`",
    "seed": "everything random: weights, data, each iteration",
    "plugins": "the check, which imports them first",
    "runs": "the run: its folder stands in it",
    "base": "the reader of the file, before anything else",
    "train": "the training loop",
    "ema": "the moving averages, after each update",
    "log": "the training loop, for the log",
    "checkpoint": "the training loop, for its checkpoints",
}
"""Who reads the sections that are no mapping of named things."""
MOST_FAULTS = 5
"""So many faults are told; `check` tells all."""
NAMED = {"data": "data set", "networks": "network", "steps": "step", "evaluate": "evaluation"}


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
    node, option = exists(file.tree, path), option_at(file.tree, path)
    config, faults = as_far_as_sound(file.tree)
    if node is None and len(path) == 1 and config is not None and (rows := key_rows(config, path[0])):
        return Explanation(f"{path[0]}, a key", rows)
    if node is None and (option is None or option.default is MISSING):
        raise ConfigError(_nothing(file, path, option))
    value = shown(node) if node is not None else short(flow(_plain(option.default if option else None)))
    is_mapping = node is not None and isinstance(node.value, dict)
    where = ".".join(path)
    title = (where or str(file.layers[-1].place.source)) if is_mapping else f"{where} = {value}"
    rows = _what(file.tree, path, node, option)
    rows += _labelled("from", origin(file, path) if path else [])
    if config is not None:
        rows += _uses(config, file.tree, path, node, option)
    rows += _labelled(
        "fault", [line for fault in _within(where, [*file.faults, *faults]) for line in _lines(fault, where)]
    )
    options = _options(file, path, node, option) if option is not None and is_mapping else []
    return Explanation(title, rows, options)


def _within(where: str, faults: Sequence[Fault]) -> list[Fault]:
    """The faults of a path, with those of what it holds."""
    return [fault for fault in faults if where and f"{fault.path}.".startswith(f"{where}.")][:MOST_FAULTS]


def _lines(fault: Fault, where: str) -> list[str]:
    deeper = fault.path.removeprefix(where).lstrip(".")
    return [f"{deeper}: {fault.message}" if deeper else fault.message, *fault.hint.splitlines()]


def _what(tree: Node, path: Sequence[str], node: Node | None, option: Option | None) -> list[Row]:
    if option is None:
        return [("is", f"no option: {_unknown(tree, path)}" if node is not None else "")]
    component = component_at(option, node) if node is not None else None
    lines = []
    if component is not None:
        lines += [f"the {component.kind.one} {component.name}", component.summary]
    elif len(path) == 2 and path[0] in NAMED:
        lines += [f"{_article(NAMED[path[0]])} {NAMED[path[0]]}", _summary(option)]
    elif not path or (node is not None and isinstance(node.value, dict) and option.section is not None):
        lines += ["a section" if path else "", option.text or _summary(option)]
    else:
        of = f" of the {option.owner.kind.one} {option.owner.name}" if option.owner is not None else ""
        lines += [f"{_takes(option)}{of}", option.text, _default(option)]
    return _labelled("is", [line for line in lines if line])


def _takes(option: Option) -> str:
    bounds = limits(option.annotation)
    return type_name(option.annotation) + (f", {bounds}" if bounds else "")


def _default(option: Option) -> str:
    if option.default is MISSING:
        return "required"
    return f"default {short(flow(_plain(option.default)))}"


def _summary(option: Option) -> str:
    return (option.section.__doc__ or "").split("\n", 1)[0] if option.section is not None else option.text


def _uses(config: Config, tree: Node, path: Sequence[str], node: Node | None, option: Option | None) -> list[Row]:
    """What reads what stands here."""
    if len(path) == 2 and path[0] in NAMED and path[1] in _named(config, path[0]):
        tell = {"networks": network_rows, "steps": step_rows, "data": data_rows, "evaluate": _evaluation_rows}
        return tell[path[0]](config, path[1])
    components = {component.path: (component, when) for component, when in all_components(config)}
    where = ".".join(path)
    if where in components:
        return component_rows(config, *components[where])
    rows = [row for name in _names(path, node, option) for row in _named_rows(config, path, name, option)]
    if rows:
        return rows
    holders = [name for name in components if where.startswith(f"{name}.")]
    if holders:
        component, when = components[max(holders, key=len)]
        gate = f", {when}" if when != ALWAYS and component.kind in ("injectors", "losses", "callbacks") else ""
        name = component.registered.name if component.registered else "?"
        reader = _reader(component.kind, component.path, name)
        return [("read by", f"{reader}{gate}")]
    if len(path) > 2 and path[0] in ("steps", "evaluate"):
        return [("read by", f"{NAMED[path[0]]} {path[1]}")]
    return [("read by", SERVES[path[0]])] if path and path[0] in SERVES else []


def _reader(kind: str, path: str, name: str) -> str:
    parts = path.split(".")
    if kind in ("optimizers", "schedules"):
        what = "optimizer" if kind == "optimizers" else "schedule"
        return f"the {what} {name} of {NAMED.get(parts[0], parts[0])} {parts[1]}"
    return f"{path}, a {name}" if name != parts[-1] else path


def _names(path: Sequence[str], node: Node | None, option: Option | None) -> list[str]:
    """The names of keys, networks, steps or data that a value holds."""
    if node is None or option is None or (isinstance(node.value, dict) and option.role is None):
        return []
    role = option.role.role if option.role is not None else None
    is_name = role in (Role.KEY, Role.NETWORK) or (path[0] == "evaluate" and path[2:3] in (["steps"], ["data"]))
    return list(dict.fromkeys(name for name in names_in(node.masked()) if name != "_")) if is_name else []


def _named_rows(config: Config, path: Sequence[str], name: str, option: Option | None) -> list[Row]:
    role = option.role.role if option is not None and option.role is not None else None
    if role is Role.KEY:
        rows = key_rows(config, name)
        return [(f"key {name}", "" if rows else "nothing writes or reads it"), *_deeper(rows)]
    if role is Role.NETWORK:
        return [(f"network {name}", ""), *_deeper(network_rows(config, name))]
    if path[2] == "data" and name in config.data:
        return [(f"data {name}", ""), *_deeper(data_rows(config, name))]
    return [(f"step {name}", ""), *_deeper(step_rows(config, name))] if name in config.steps else []


def _deeper(rows: Sequence[Row]) -> list[Row]:
    return [(f"  {label}", text) for label, text in rows]


def _evaluation_rows(config: Config, name: str) -> list[Row]:
    section = config.evaluations[name].section
    runs = f"every {section.every} finished iterations, and at the end" if section.every else "at the end"
    rows = [("on", f"data.{section.data}"), ("runs", runs)]
    rows += [("runs", f"steps.{step}, without training") for step in section.steps]
    best = config.sections.checkpoint.keep_best
    if best is not None and best.metric.startswith(f"{name}/"):
        rows.append(("read by", f"checkpoint.keep_best, which keeps the best {best.metric!r}"))
    return rows


def _named(config: Config, section: str) -> Sequence[str]:
    parts = {"networks": config.networks, "steps": config.steps, "data": config.data, "evaluate": config.evaluations}
    return list(parts[section])


def _options(file: Layered, path: Sequence[str], node: Node | None, option: Option) -> list[tuple[str, str, str]]:
    """The options of a mapping: those written first, then those that have a default."""
    known = names_below(option, node) if node is not None else {}
    written = node.value if node is not None and isinstance(node.value, dict) else {}
    rows = []
    for name, child in written.items():
        # Beside a path that stands above, the line is enough.
        rows.append((name, short(shown(child), 40), _brief(file, child)))
    filled = _filled(option, node)
    for name, each in known.items():
        if name not in written and name not in filled and each.default is not MISSING:
            if name not in ("in", "base", "from"):
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
    place = node.key_place or node.place
    if not place.line:
        return "override"
    if place.source == file.layers[-1].place.source:
        return f"line {place.line}"
    return str(place).rsplit("/", 1)[-1]


def _nothing(file: Layered, path: Sequence[str], option: Option | None) -> Fault:
    """That a path leads nowhere, with the names that there are where it ends."""
    place = Place(file.layers[-1].place.source)
    if option is not None:
        return Fault(place, ".".join(path), f"is not written, and has no default: it takes {_takes(option)}")
    return Fault(place, ".".join(path), *_unknown_parts(file.tree, path))


def _unknown(tree: Node, path: Sequence[str]) -> str:
    message, hint = _unknown_parts(tree, path)
    return f"{message}. {hint}" if hint else message


def _unknown_parts(tree: Node, path: Sequence[str]) -> tuple[str, str]:
    for end in range(1, len(path) + 1):
        if option_at(tree, path[:end]) is None:
            break
    above, name = path[: end - 1], path[end - 1]
    node, option = exists(tree, above), option_at(tree, above)
    known = {*(names_below(option, node) if option is not None and node is not None else ())}
    known |= set(node.value) - {name} if node is not None and isinstance(node.value, dict) else set()
    where = ".".join(above) or "the file"
    return f"there is no {name!r} in {where}", allowed("There are", name, known) if known else ""


def _labelled(label: str, lines: Sequence[str]) -> list[Row]:
    return [(label if index == 0 else "", line) for index, line in enumerate(lines)]


def _plain(value: object) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(by_alias=True, exclude_unset=True)
    return value if isinstance(value, dict | list | tuple | str | int | float | bool | None) else str(value)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
