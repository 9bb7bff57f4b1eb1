"""What an entry may say that has its `type` from the `base` of its file."""

from __future__ import annotations

from artschool.config.options import WHOLE_FILE, Option, below, component_at
from artschool.config.source import Node
from artschool.schema.alternatives import Schema
from artschool.schema.components import definition_of


def typed_by_base(node: Node, option: Option = WHOLE_FILE) -> Schema:
    """What stands in a base, as a condition on a file above it: an entry with no other `type` has the base's options.

    Args:
        node: The base, or a part of it.
        option: What may stand there.
    """
    entries: Schema = {}
    for name, child in node.value.items() if isinstance(node.value, dict) else ():
        inner = below(option, node, name)
        if inner is not None and (found := typed_by_base(child, inner)):
            entries[name] = found
    inside = {"properties": entries} if entries else {}
    component = component_at(option, node)
    if component is None:
        return inside
    definition = definition_of(component.kind.name, component.name, is_inside=option.owner is not None)
    own = {"$ref": f"#/definitions/{definition}"}
    # Also true of an entry without a type, and of what is no entry.
    same = {"properties": {"type": {"const": component.name}}}
    return {"if": same, "then": {"allOf": [own, inside]} if inside else own}
