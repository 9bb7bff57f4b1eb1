"""Conversion rules: how one mapping of an old file is written in the native language."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from artschool.config.source import Node
from artschool.config.write import flow
from artschool.faults import Fault, FaultKind, Place
from artschool.wording.names import allowed

Fields = dict[str, Node]


@dataclass
class Notes:
    """The findings of a conversion: faults stop the run, warnings report what has changed its meaning.

    Attributes:
        networks: Frozen networks that components of the reference loaded themselves. They become networks of the file.
        datasets: Data sets that evaluators of the reference created themselves. They become data sets of the file.
        remarks: Changes of writing that change no number. `artschool convert` writes them as comments.
    """

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    remarks: list[Fault] = field(default_factory=list)
    networks: Fields = field(default_factory=dict)
    datasets: Fields = field(default_factory=dict)

    def refuse(self, node: Node, path: str, message: str, hint: str = "", *, kind: FaultKind = FaultKind.OTHER) -> None:
        """Add a fault at a node of the old file."""
        self.faults.append(Fault(node.start, path, message, hint, kind=kind))

    def hold(self, name: str, network: Node) -> None:
        """Add a frozen network that a component loaded itself. Two different networks of one name are a fault."""
        held = self.networks.setdefault(name, network)
        if held.plain() != network.plain():
            message = f"names another network than line {held.place.line} does; rename one of them"
            self.refuse(network, f"networks.{name}", message)

    def warn(self, node: Node, path: str, message: str, hint: str = "", *, cause: str = "") -> None:
        """Add a warning at a node of the old file.

        Args:
            cause: What warnings of one kind have in common. They are reported once, see `once_per_kind`.
        """
        self.warnings.append(Fault(node.start, path, message, hint, cause=cause))

    def remark(self, node: Node, path: str, message: str) -> None:
        """Add a comment at a node of the old file."""
        self.remarks.append(Fault(node.start, path, message))


def once_per_kind(warnings: Iterable[Fault]) -> list[Fault]:
    """The first warning of each kind, with the paths and lines of the others.

    Warnings are of one kind if they have the same `cause`, or the same text.
    """
    kinds: dict[str, list[Fault]] = {}
    for warning in dict.fromkeys(warnings):
        kinds.setdefault(warning.cause or f"{warning.message}\n{warning.hint}", []).append(warning)
    return [_with_places(first, others) for first, *others in kinds.values()]


def _with_places(first: Fault, others: list[Fault]) -> Fault:
    if not others:
        return first
    places = [f"{other.path} (line {other.place.line})" for other in others]
    listed = ", ".join(places[:MAX_PLACES]) + (f" and {len(places) - MAX_PLACES} more" if places[MAX_PLACES:] else "")
    hint = "" if first.cause else first.hint
    return replace(first, hint="\n".join(filter(None, (hint, f"Likewise {listed}."))))


MAX_PLACES = 8
"""How many further places a warning names."""


@dataclass(frozen=True)
class ConversionRule:
    """How one component or section is written natively.

    Attributes:
        type: The native component.
        options: Old option to native one.
        values: Old option to a table of old value to native value. Other values have no counterpart.
        constants: Native options for fixed behaviour of the reference.
        harmless: Old option to the values at which it has no effect and is dropped. Other values are faults if the
            option has no counterpart.
        advice: Old option to the suggested fix for its values that are not harmless.
        dropped: Options that affect no trained weight and have no counterpart, with the text of the warning.
        changed: Options (or `type`) whose meaning has changed, with the text of the warning.
        written: Options that are written in another way with the same effect, with the text of the comment.
        silent: Options that are dropped without a warning.
        finish: Makes changes that no table expresses. Takes the native fields, the old node, its path and the notes.
    """

    type: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    harmless: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    advice: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)
    silent: Collection[str] = ()
    finish: Callable[[Fields, Node, str, Notes], None] | None = None


UNREAD = "unread"
"""The kind of all warnings about options that no table lists."""


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
    """A rule that includes the options of every injector. `rest` sets further fields of `ConversionRule`."""
    flags = {"train": "only", "eval": "only", "no_accum": "once", "no_grad": "no_grad"}
    return ConversionRule(
        type,
        {**same("in", "out", "after", "before", "every"), **flags, **(options or {})},
        values={"train": {True: "training"}, "eval": {True: "evaluation"}, **(values or {})},
        harmless={**dict.fromkeys(flags, (False,)), **(harmless or {})},
        **rest,
    )


def loss_rule(type: str, options: Mapping[str, str] | None = None, **rest: Any) -> ConversionRule:
    """A rule that includes the options of every loss. `rest` sets further fields of `ConversionRule`."""
    return ConversionRule(type, {**same("weight", "after", "before", "every"), **(options or {})}, **rest)


def apply(rule: ConversionRule, node: Node, path: str, notes: Notes, *, what: str, strict: bool = False) -> Fields:
    """Convert a mapping, in the order of the old file.

    Args:
        what: A description of the mapping for messages, such as `injector 'pad'`.
        strict: Whether an option that the rule does not list is a fault instead of a warning.
    """
    fields: Fields = {"type": rebuilt(node.get("type") or node, rule.type)} if rule.type else {}
    for name, value in mapping(node).items():
        where = f"{path}.{name}" if path else name
        if name in rule.harmless and value.plain() in rule.harmless[name]:
            continue
        if name in rule.changed and not _is_off(value):
            notes.warn(value, where, rule.changed[name])
        if name in rule.written:
            notes.remark(value, where, rule.written[name])
        if name in rule.options:
            fields[rule.options[name]] = _value(rule, name, value, where, notes, what)
        elif not (name == "type" and rule.type):
            _without_counterpart(rule, name, value, where, notes, what, strict=strict)
    fields |= {name: as_node(value, node.place) for name, value in rule.constants.items() if name not in fields}
    if rule.finish is not None:
        rule.finish(fields, node, path, notes)
    return fields


def known_options(rule: ConversionRule) -> set[str]:
    """The old options that a rule mentions."""
    return {*rule.options, *rule.harmless, *rule.dropped, *rule.silent}


def _without_counterpart(
    rule: ConversionRule, name: str, value: Node, where: str, notes: Notes, what: str, *, strict: bool
) -> None:
    """Report an option that is not written natively."""
    if name in rule.harmless:
        harmless = ", or with ".join(["without it", *map(flow, rule.harmless[name])])
        hint = rule.advice.get(name, f"It can be converted {harmless}.")
        notes.refuse(value, where, f"{name!r} of the reference's {what} has no counterpart", hint)
    elif name in rule.dropped:
        if not _is_off(value):
            notes.warn(value, where, f"is dropped: {rule.dropped[name]}")
    elif name not in rule.silent:
        _report_unread(rule, name, value, where, notes, what, strict=strict)


def mapping(node: Node | None) -> Fields:
    """The entries of a mapping. Empty if the node is missing or not a mapping."""
    return node.value if node is not None and isinstance(node.value, dict) else {}


def items(node: Node | None) -> list[Node]:
    """The items of a list, or a single value as a list of one. Empty if it is missing or null."""
    if node is None or node.value is None:
        return []
    return node.value if isinstance(node.value, list) else [node]


def text(node: Node | None) -> str:
    """The text of a node. Empty if there is none."""
    return node.value if node is not None and isinstance(node.value, str) else ""


def as_node(value: Any, place: Place) -> Node:
    """A plain value as a node; all its parts have one location."""
    if isinstance(value, dict):
        return Node({key: as_node(part, place) for key, part in value.items()}, place)
    return Node([as_node(part, place) for part in value] if isinstance(value, list) else value, place)


def rebuilt(node: Node, value: Any) -> Node:
    """A node with another value at the same location."""
    return replace(node, value=value, tag=None)


def _is_off(value: Node) -> bool:
    return value.value is None or value.value is False or value.value in ("", [], {})


def _value(rule: ConversionRule, name: str, value: Node, where: str, notes: Notes, what: str) -> Node:
    known = rule.values.get(name)
    if known is None:
        return value
    plain = value.plain()
    if isinstance(plain, list | dict) or plain not in known:
        hint = allowed("Available", str(plain), map(str, known))
        notes.refuse(value, where, f"{name} {plain!r} is not converted for the reference's {what}", hint)
        return value
    return replace(as_node(known[plain], value.place), key_place=value.key_place)


def _report_unread(
    rule: ConversionRule, name: str, value: Node, where: str, notes: Notes, what: str, *, strict: bool
) -> None:
    hint = allowed("Available options", name, known_options(rule))
    if strict:
        notes.refuse(value, where, f"unknown option {name!r}: the reference's {what} does not have it", hint)
    else:
        notes.warn(
            value, where, f"is dropped: {name!r} is no known option of the reference's {what}", hint, cause=UNREAD
        )
