"""Components that plugins of an old file register. They take their options as they are, and precede the tables."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from artschool.config.source import Node
from artschool.dlas import ORIGIN, Uses
from artschool.legacy.rules import ConversionRule, Fields, Notes, as_node, injector_rule, loss_rule, mapping, same
from artschool.registry import REGISTRIES

OURS, TORCH = "artschool.", "torch."


def is_own(kind: str, name: str) -> bool:
    """Whether a plugin registers the component of this kind and name."""
    if name not in REGISTRIES[kind]:
        return False
    origin = REGISTRIES[kind].get(name).origin
    # PyTorch's classes are built in under their own names.
    is_builtin = origin.startswith(OURS) or (origin.startswith(TORCH) and origin.rpartition(".")[2].lower() == name)
    return not is_builtin


def is_of_checkout(kind: str, name: str) -> bool:
    """Whether the component comes from a checkout, so that it takes the options of its entry as they are."""
    return name in REGISTRIES[kind] and REGISTRIES[kind].get(name).origin.startswith(ORIGIN)


def own_injector(name: str, node: Node) -> ConversionRule:
    """The rule of an injector of a plugin: the options of every injector, and its own."""
    if is_of_checkout("injectors", name):
        return injector_rule(name, silent=_others(node, injector_rule("").options), finish=_as_is)
    return injector_rule(name, same(*_others(node, injector_rule("").options)))


def own_loss(name: str, node: Node) -> ConversionRule:
    """The rule of a loss of a plugin: the options of every loss, and its own."""
    return loss_rule(name, same(*_others(node, loss_rule("").options)))


def takes(kind: str, name: str, options: Fields) -> Fields:
    """Those of the options that a registered component takes."""
    registered = REGISTRIES[kind].get(name)
    return {key: value for key, value in options.items() if key in registered.takes}


def _as_is(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Give an injector of a checkout its options as `opt`, and the keys and networks that they name."""
    gates = injector_rule("").options.keys() - {"in", "out"}
    opt = {key: value.plain() for key, value in mapping(node).items() if key not in {"type", *gates}}
    target: Any = REGISTRIES["injectors"].get(str(fields["type"].value)).target
    uses: Uses = target.uses(opt)
    for option, names in (("in", uses.reads), ("out", uses.writes)):
        if option in opt:
            fields[option] = as_node(names[0] if len(names) == 1 else [*names], (node.get(option) or node).place)
    if uses.networks:
        fields["networks"] = as_node([*uses.networks], node.place)
    fields["opt"] = as_node(opt, node.place)


def _others(node: Node, common: Collection[str]) -> list[str]:
    return [key for key in mapping(node) if key not in {"type", *common}]
