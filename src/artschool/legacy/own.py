"""Components that plugins of an old file register. They take their options as they are, and precede the tables."""

from __future__ import annotations

from collections.abc import Collection

from artschool.config.source import Node
from artschool.legacy.rules import ConversionRule, Fields, injector_rule, loss_rule, mapping, same
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


def own_injector(name: str, node: Node) -> ConversionRule:
    """The rule of an injector of a plugin: the options of every injector, and its own."""
    return injector_rule(name, same(*_others(node, injector_rule("").options)))


def own_loss(name: str, node: Node) -> ConversionRule:
    """The rule of a loss of a plugin: the options of every loss, and its own."""
    return loss_rule(name, same(*_others(node, loss_rule("").options)))


def takes(kind: str, name: str, options: Fields) -> Fields:
    """Those of the options that a registered component takes."""
    registered = REGISTRIES[kind].get(name)
    return {key: value for key, value in options.items() if key in registered.takes}


def _others(node: Node, common: Collection[str]) -> list[str]:
    return [key for key in mapping(node) if key not in {"type", *common}]
