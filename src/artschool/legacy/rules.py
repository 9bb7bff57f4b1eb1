"""What a table of the importer holds: how one mapping of an old file is written natively."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from artschool.config.source import Node
from artschool.config.write import flow
from artschool.errors import Fault, Place, allowed

Fields = dict[str, Node]


@dataclass
class Notes:
    """What the importer has to say: faults stop the run, warnings tell what means something else now.

    Attributes:
        networks: The frozen networks that components of the reference loaded themselves; they become networks of the
            file.
        datasets: The data sets that evaluators of the reference held; likewise.
    """

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    networks: Fields = field(default_factory=dict)
    datasets: Fields = field(default_factory=dict)

    def refuse(self, node: Node, path: str, message: str, hint: str = "") -> None:
        """Add a fault at a node of the old file."""
        self.faults.append(Fault(node.start, path, message, hint))

    def hold(self, name: str, network: Node) -> None:
        """Add a frozen network that a component loaded itself; two of one name are a fault."""
        held = self.networks.setdefault(name, network)
        if held.plain() != network.plain():
            message = f"means another network than line {held.place.line} by this name; give it a name of its own there"
            self.refuse(network, f"networks.{name}", message)

    def warn(self, node: Node, path: str, message: str, hint: str = "") -> None:
        """Add a warning at a node of the old file."""
        self.warnings.append(Fault(node.start, path, message, hint))


@dataclass(frozen=True)
class ConversionRule:
    """How one component or section is written natively. Options that it does not list were never read.

    Attributes:
        type: The native component.
        options: Old option to native one.
        values: Old option to its old values and what they are now; others have no counterpart.
        constants: Native options for what the reference always did.
        harmless: Values at which an option says nothing and is left out; without a counterpart, others are faults.
        advice: What to write instead of an option that is only harmless, if there is something.
        dropped: Options without a counterpart on which no trained weight depends, and what to know about it.
        changed: Options, or `type`, that mean something else now, and what.
        silent: Options that are left out without a word.
        finish: Changes what a table cannot say: takes the native fields, the old node, its path and the notes.
    """

    type: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    harmless: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    advice: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    silent: Collection[str] = ()
    finish: Callable[[Fields, Node, str, Notes], None] | None = None


def same(*names: str) -> dict[str, str]:
    """Options that keep their names."""
    return {name: name for name in names}


def injector_rule(
    type: str,
    options: Mapping[str, str] | None = None,
    *,
    values: Mapping[str, Mapping[Any, Any]] | None = None,
    harmless: Mapping[str, tuple[Any, ...]] | None = None,
    **rest: Any,
) -> ConversionRule:
    """A rule with what every injector of the reference takes; `rest` are further fields of `ConversionRule`."""
    flags = {"train": "only", "eval": "only", "no_accum": "once", "no_grad": "no_grad"}
    return ConversionRule(
        type,
        {**same("in", "out", "after", "before", "every"), **flags, **(options or {})},
        values={"train": {True: "training"}, "eval": {True: "evaluation"}, **(values or {})},
        harmless={**dict.fromkeys(flags, (False,)), **(harmless or {})},
        **rest,
    )


def loss_rule(type: str, options: Mapping[str, str] | None = None, **rest: Any) -> ConversionRule:
    """A rule with what every loss of the reference takes; `rest` are further fields of `ConversionRule`."""
    return ConversionRule(type, {**same("weight", "after", "before", "every"), **(options or {})}, **rest)


def apply(rule: ConversionRule, node: Node, path: str, notes: Notes, *, what: str, strict: bool = False) -> Fields:
    """Write a mapping natively, in the order of the old file.

    Args:
        what: What the mapping is, for notes: `injector 'pad'`.
        strict: Whether an option that the reference never read is a fault rather than a warning.
    """
    fields: Fields = {"type": rebuilt(node.get("type") or node, rule.type)} if rule.type else {}
    for name, value in mapping(node).items():
        where = f"{path}.{name}" if path else name
        if name in rule.changed and not _is_off(value):
            notes.warn(value, where, rule.changed[name])
        if name in rule.harmless and value.plain() in rule.harmless[name]:
            continue
        if name in rule.options:
            fields[rule.options[name]] = _value(rule, name, value, where, notes, what)
        elif name in rule.harmless:
            harmless = ", or with ".join(["without it", *map(flow, rule.harmless[name])])
            hint = rule.advice.get(name, f"It can be converted {harmless}.")
            notes.refuse(value, where, f"{name!r} of the reference's {what} has no counterpart", hint)
        elif name in rule.dropped:
            if not _is_off(value):
                notes.warn(value, where, f"is left out: {rule.dropped[name]}")
        elif name not in rule.silent and not (name == "type" and rule.type):
            _tell_unread(rule, name, value, where, notes, what, strict=strict)
    fields |= {name: as_node(value, node.place) for name, value in rule.constants.items() if name not in fields}
    if rule.finish is not None:
        rule.finish(fields, node, path, notes)
    return fields


def mapping(node: Node | None) -> Fields:
    """The entries of a mapping; nothing where the node is missing or something else."""
    return node.value if node is not None and isinstance(node.value, dict) else {}


def items(node: Node | None) -> list[Node]:
    """The items of a list, or a single value as a list of one; none where it is missing or null."""
    if node is None or node.value is None:
        return []
    return node.value if isinstance(node.value, list) else [node]


def text(node: Node | None) -> str:
    """The text of a node, empty where there is none."""
    return node.value if node is not None and isinstance(node.value, str) else ""


def as_node(value: Any, place: Place) -> Node:
    """A plain value, all of it at one place."""
    if isinstance(value, dict):
        return Node({key: as_node(part, place) for key, part in value.items()}, place)
    return Node([as_node(part, place) for part in value] if isinstance(value, list) else value, place)


def rebuilt(node: Node, value: Any) -> Node:
    """Another value at the place of a node."""
    return replace(node, value=value, tag=None)


def _is_off(value: Node) -> bool:
    return value.value is None or value.value is False or value.value in ("", [], {})


def _value(rule: ConversionRule, name: str, value: Node, where: str, notes: Notes, what: str) -> Node:
    known = rule.values.get(name)
    if known is None:
        return value
    plain = value.plain()
    if isinstance(plain, list | dict) or plain not in known:
        hint = allowed("There are", str(plain), map(str, known))
        notes.refuse(value, where, f"{name} {plain!r} of the reference's {what} has no counterpart", hint)
        return value
    return replace(as_node(known[plain], value.place), key_place=value.key_place)


def _tell_unread(
    rule: ConversionRule, name: str, value: Node, where: str, notes: Notes, what: str, *, strict: bool
) -> None:
    hint = allowed("It takes", name, {*rule.options, *rule.harmless, *rule.dropped, *rule.silent})
    if strict:
        notes.refuse(value, where, f"{name!r} is no option of the reference's {what}", hint)
    else:
        notes.warn(value, where, f"is left out: the reference never read {name!r} of its {what}", hint)
