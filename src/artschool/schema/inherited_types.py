"""The options of entries that inherit their `type` from the `base` of their file."""

from __future__ import annotations

from artschool.config.options import WHOLE_FILE, Option, below, component_at
from artschool.config.source import Node
from artschool.schema.alternatives import Schema
from artschool.schema.components import definition_of


def inherited_types(node: Node, option: Option = WHOLE_FILE) -> Schema:
    """A condition on a file with a base: entries take the options of the type in the base, unless they name another.

    Args:
        node: The base, or a part of it.
        option: The option of which `node` is the value.
    """
    entries: Schema = {}
    for name, child in node.value.items() if isinstance(node.value, dict) else ():
        inner = below(option, node, name)
        if inner is not None and (found := inherited_types(child, inner)):
            entries[name] = found
    inside = {"properties": entries} if entries else {}
    component = component_at(option, node)
    if component is None:
        return inside
    definition = definition_of(component.kind.name, component.name, is_inside=option.owner is not None)
    own = {"$ref": f"#/definitions/{definition}"}
    # Also matches an entry without a type, and any value that is not an entry.
    same = {"properties": {"type": {"const": component.name}}}
    return {"if": same, "then": {"allOf": [own, inside]} if inside else own}
