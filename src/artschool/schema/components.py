"""The schema of an entry with a `type:`, by kind: which components there are, and what each of them takes."""

from __future__ import annotations

from functools import partial

from artschool.config.component import takes_list
from artschool.config.docstrings import documented, without_arguments
from artschool.registry import REGISTRIES, Registered
from artschool.registry.entries import GroupEntry
from artschool.registry.signature import Parameter, Role
from artschool.schema.alternatives import Schema, or_reference, union
from artschool.schema.values import Models

BORROWED: Schema = {
    "description": "Takes a network of another file, with its options; what stands beside it counts more.",
    "type": ["string", "object"],
    "properties": {
        "file": {"type": "string", "description": "The file, relative to this one."},
        "network": {"type": "string", "description": "The network there, by default the one of the same name."},
    },
    "additionalProperties": False,
}
"""Where a network may come from, see `config.borrow`."""


class Components:
    """Puts what an entry may say into definitions, one for each component, once something refers to its kind.

    Args:
        is_whole: Whether the file says all that it must, or may leave some to its `base`.
    """

    def __init__(self, definitions: Schema, *, is_whole: bool) -> None:
        self._definitions = definitions
        self._is_whole = is_whole
        self._models = Models(definitions, partial(self.marked, is_inside=True), is_whole)

    def marked(self, role: str, kind: str, *, is_inside: bool = False) -> Schema:
        """The schema of what an annotation with a `signature.Marker` accepts.

        Args:
            role: The value of a `signature.Role`.
            kind: The kind of component, where the role is a component.
            is_inside: Whether the component is inside another, which gives it its keys.
        """
        if role != Role.NESTED.value:
            return {"$ref": f"#/definitions/{role}"}
        definition = definition_of(kind, is_inside=is_inside)
        if definition not in self._definitions:
            self._definitions[definition] = {}  # Defined before its components, which may contain the same kind.
            self._definitions[definition] = self._kind(kind, is_inside=is_inside)
        return {"type": "object", "allOf": [{"$ref": f"#/definitions/{definition}"}]}

    def _kind(self, kind: str, *, is_inside: bool) -> Schema:
        registry = REGISTRIES[kind]
        entries = [registry.get(name) for name in registry.names()]
        definitions = {entry.name: definition_of(kind, entry.name, is_inside=is_inside) for entry in entries}
        for entry in entries:
            self._definitions[definitions[entry.name]] = self._entry(entry, is_inside=is_inside)
        summaries = [entry.summary or "No documentation." for entry in entries]
        names = {"enum": [entry.name for entry in entries], "enumDescriptions": summaries}
        # One condition for each type: a message is about the component that was meant, at its own line.
        conditions = [
            {
                "if": {"properties": {"type": {"const": entry.name}}, "required": ["type"]},
                "then": {"$ref": f"#/definitions/{definitions[entry.name]}"},
            }
            for entry in entries
        ]
        body: Schema = {"properties": {"type": or_reference(names)}, "allOf": conditions}
        needs = ["type"]
        if kind == "networks" and not is_inside:
            body["properties"]["from"] = BORROWED
            needs.append("from")
        return body | {"anyOf": [{"required": [name]} for name in needs]} if self._is_whole else body

    def _entry(self, entry: Registered, *, is_inside: bool) -> Schema:
        name = definition_of(entry.kind.name, entry.name, is_inside=is_inside)
        texts = documented(entry)
        schema = self._models.read(entry.nested if is_inside else entry.model, name, texts)
        properties: Schema = schema["properties"]
        properties["type"] = {"description": without_arguments(entry.documentation) or entry.name}
        whole: Schema = {"description": entry.summary, "properties": properties, "additionalProperties": False}
        required = [option for option in schema.get("required", []) if option != "type"]
        inputs = [] if is_inside else entry.signature.inputs
        if inputs:
            properties["in"] = _inputs(inputs, properties)
            by_in = [parameter.name for parameter in inputs if parameter.required]
            required = [option for option in required if option not in by_in]
            if by_in and self._is_whole:
                whole["anyOf"] = [{"required": ["in"]}, {"required": by_in}]
        if "param_groups" in properties:
            properties["param_groups"] = self._groups(entry, name, properties)
        return whole | {"required": required} if required and self._is_whole else whole

    def _groups(self, entry: Registered, name: str, properties: Schema) -> Schema:
        """Groups of parameters take the options of the optimizer itself as well."""
        options = [parameter.name for parameter in entry.signature.of(Role.OPTION)]
        group: Schema = self._models.read(GroupEntry, f"{name}.group")["properties"]
        own = {option: {"$ref": f"#/definitions/{name}/properties/{option}"} for option in options}
        self._definitions[f"{name}.group"] = {"properties": group | own, "additionalProperties": False}
        one = {"type": "object", "allOf": [{"$ref": f"#/definitions/{name}.group"}]}
        told = {key: value for key, value in properties["param_groups"].items() if key in ("description", "default")}
        return or_reference({"type": "array", "items": or_reference(one)}) | told


def definition_of(kind: str, component: str = "", *, is_inside: bool) -> str:
    """The name of the definition of a kind, or of one of its components.

    Args:
        is_inside: Whether the component is inside another, which gives it its keys.
    """
    return ".".join(part for part in ("inside" if is_inside else "", kind, component) if part)


def _inputs(inputs: list[Parameter], properties: Schema) -> Schema:
    """What `in:` may hold: what the parameters take, in their order."""
    names = ", ".join(parameter.name for parameter in inputs)
    takes = [_without_text(properties[parameter.name]) for parameter in inputs]
    if len(inputs) == 1 and takes_list(inputs[0].annotation):
        given = union([takes[0], *_items(takes[0])])
    else:
        given = union([takes[0], {"type": "array", "items": takes, "maxItems": len(takes)}])
    return given | {"description": f"Fills {names}, in this order."}


def _without_text(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in ("description", "default")}


def _items(schema: Schema) -> list[Schema]:
    """What the lists among the alternatives hold."""
    parts: list[Schema] = schema.get("anyOf", [schema])
    return [part["items"] for part in parts if isinstance(part.get("items"), dict)]
