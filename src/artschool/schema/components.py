"""The schemas of entries with a `type:`, by kind: the components and their options."""

from __future__ import annotations

from functools import partial

from artschool.config.component import takes_list
from artschool.config.docstrings import documented, without_arguments
from artschool.config.options import documented_inputs
from artschool.registry import REGISTRIES, Registered
from artschool.registry.entries import GroupEntry
from artschool.registry.signature import Parameter, Role
from artschool.schema.alternatives import Schema, or_reference, union
from artschool.schema.shared_definitions import without_annotations
from artschool.schema.values import ModelSchemas

FROM_FILE: Schema = {
    "description": "The file that defines the network. Options written next to `from` override those of that file.",
    "type": ["string", "object"],
    "properties": {
        "file": {"type": "string", "description": "Path of the file, relative to this one."},
        "network": {"type": "string", "description": "Name of the network in that file. Default: the same name."},
    },
    "additionalProperties": False,
}
"""The value of `from`: another file that defines a network, see `config.borrow`."""


class Components:
    """Adds a definition for each component of a kind, once a schema refers to the kind.

    Args:
        definitions: The definitions of the schema, to add to.
        is_whole: Whether the file has no `base`, and so must write every required option itself.
    """

    def __init__(self, definitions: Schema, *, is_whole: bool) -> None:
        self._definitions = definitions
        self._is_whole = is_whole
        self._model_schemas = ModelSchemas(definitions, partial(self.marked, is_inside=True), is_whole)

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
        # One condition per type, so that messages are about the component that the entry names. A number, where one may
        # stand instead, meets conditions on properties too.
        conditions = [
            {
                "if": {"type": "object", "properties": {"type": {"const": entry.name}}, "required": ["type"]},
                "then": {"$ref": f"#/definitions/{definitions[entry.name]}"},
            }
            for entry in entries
        ]
        body: Schema = {"properties": {"type": or_reference(names)}, "allOf": conditions}
        needs = ["type"]
        if kind == "networks" and not is_inside:
            body["properties"]["from"] = FROM_FILE
            needs.append("from")
        return body | {"anyOf": [{"required": [name]} for name in needs]} if self._is_whole else body

    def _entry(self, entry: Registered, *, is_inside: bool) -> Schema:
        name = definition_of(entry.kind.name, entry.name, is_inside=is_inside)
        texts = documented(entry)
        schema = self._model_schemas.schema(entry.nested if is_inside else entry.model, name, texts)
        properties: Schema = schema["properties"]
        properties["type"] = {"description": without_arguments(entry.documentation) or entry.name}
        others = entry.signature.takes_others
        whole: Schema = {"description": entry.summary, "properties": properties, "additionalProperties": others}
        required = [option for option in schema.get("required", []) if option != "type"]
        inputs = [] if is_inside else entry.signature.inputs
        if inputs:
            properties["in"] = _inputs(inputs, properties)
            by_in = [parameter.name for parameter in inputs if parameter.required]
            required = [option for option in required if option not in by_in]
            if by_in and self._is_whole:
                whole["anyOf"] = [{"required": ["in"]}, {"required": by_in}]
        if "param_groups" in properties:
            properties["param_groups"] = self._param_groups(entry, name, properties)
        return whole | {"required": required} if required and self._is_whole else whole

    def _param_groups(self, entry: Registered, name: str, properties: Schema) -> Schema:
        """The schema of `param_groups`. A group also takes the options of its optimizer."""
        options = [parameter.name for parameter in entry.signature.of(Role.OPTION)]
        group: Schema = self._model_schemas.schema(GroupEntry, f"{name}.group")["properties"]
        own = {option: {"$ref": f"#/definitions/{name}/properties/{option}"} for option in options}
        self._definitions[f"{name}.group"] = {"properties": group | own, "additionalProperties": False}
        one = {"type": "object", "allOf": [{"$ref": f"#/definitions/{name}.group"}]}
        annotations = {
            key: value for key, value in properties["param_groups"].items() if key in ("description", "default")
        }
        return or_reference({"type": "array", "items": or_reference(one)}) | annotations


def definition_of(kind: str, component: str = "", *, is_inside: bool) -> str:
    """The name of the definition of a kind, or of one of its components.

    Args:
        is_inside: Whether the component is inside another, which gives it its keys.
    """
    return ".".join(part for part in ("inside" if is_inside else "", kind, component) if part)


def _inputs(inputs: list[Parameter], properties: Schema) -> Schema:
    """The schema of `in:`: what the input parameters accept, in their order."""
    accepted = [without_annotations(properties[parameter.name]) for parameter in inputs]
    if len(inputs) == 1 and takes_list(inputs[0].annotation):
        schema = union([accepted[0], *_items(accepted[0])])
    else:
        schema = union([accepted[0], {"type": "array", "items": accepted, "maxItems": len(accepted)}])
    return schema | {"description": documented_inputs(inputs)}


def _items(schema: Schema) -> list[Schema]:
    """The items of the lists among the alternatives."""
    parts: list[Schema] = schema.get("anyOf", [schema])
    return [part["items"] for part in parts if isinstance(part.get("items"), dict)]
