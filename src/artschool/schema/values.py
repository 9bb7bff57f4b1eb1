"""JSON Schema, draft 7, of the options that a pydantic model validates.

A schema accepts every value that the model accepts, so that editors mark no valid value. In a file, a reference
`${...}` may replace any value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from artschool.config.docstrings import attributes, without_arguments
from artschool.config.write import flow
from artschool.registry.signature import MARK
from artschool.schema.alternatives import Schema, or_reference, union

SUPPORTED = {
    "any",
    "none",
    "bool",
    "int",
    "float",
    "str",
    "literal",
    "enum",
    "list",
    "tuple",
    "set",
    "frozenset",
    "dict",
}
SUPPORTED |= {"default", "nullable", "union", "tagged-union", "chain", "json-or-python", "lax-or-strict"}
SUPPORTED |= {"model", "model-fields", "model-field", "typed-dict", "dataclass", "dataclass-args"}
SUPPORTED |= {"definitions", "definition-ref", "function-before", "function-after", "is-instance", "custom-error"}
"""Kinds of pydantic's core schemas that are converted. Any other kind accepts every value."""
BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Pydantic's names for the bounds of a number that passes through a function, and those of JSON Schema."""
REQUIREMENTS = {"required", "minProperties"}
"""Keywords that are dropped where a `base` may provide the missing options."""
COPIED = REQUIREMENTS | {
    "type",
    "enum",
    "description",
    "default",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
}
COPIED |= {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
"""Keywords that are copied unchanged."""
OTHER_DIALECT = re.compile(r"\(\?|\\[a-ce-zA-Z]")
"""Parts of a pattern that JavaScript reads differently, or cannot read."""

MarkerSchema = Callable[[str, str], Schema]
"""Returns the schema of an annotation with a `signature.Marker`, given its role and kind."""


@dataclass(frozen=True)
class ModelSchemas:
    """Converts pydantic models to schemas.

    Attributes:
        definitions: The definitions of the schema, to add models to.
        marked: Returns the schema of keys, networks and components.
        is_whole: Whether the file has no `base`, and so must write every required option itself.
        names: The names of the definitions of models, by their schemas.
        has_named_entries: Whether null removes a section, and an entry of a mapping with free names.
    """

    definitions: Schema
    marked: MarkerSchema
    is_whole: bool
    names: dict[str, str] = field(default_factory=dict)
    has_named_entries: bool = False

    def schema(self, model: type[BaseModel], name: str, texts: Mapping[str, str] = MappingProxyType({})) -> Schema:
        """The schema of a model: its properties and required options.

        Args:
            name: Prefix for the definitions of the models that it contains.
            texts: Descriptions of options that override those of the model's docstring.
        """
        raw = model.model_json_schema(schema_generator=_Generator)
        for option in raw["properties"].keys() & texts.keys():
            raw["properties"][option]["description"] = texts[option]
        inside: Schema = raw.get("$defs", {})
        names = {inner: self._definition(f"{name}.{inner}", schema) for inner, schema in inside.items()}
        converter = _Converter(self, names, inside)
        for inner, schema in inside.items():
            plain = converter.converted(schema)
            if plain.get("type") == "object":
                del plain["type"]  # References to it state the type, or accept others too.
            self.definitions[names[inner]] = plain
        return converter.converted(raw)

    def _definition(self, name: str, schema: Schema) -> str:
        """The name of the definition of a model; an equal one that refers to no other has its name already."""
        text = json.dumps(schema, sort_keys=True)
        return name if "$ref" in text else self.names.setdefault(text, name)


@dataclass(frozen=True)
class _Converter:
    """Converts the JSON Schema that pydantic generates for one model."""

    settings: ModelSchemas
    names: Mapping[str, str]
    definitions: Mapping[str, Schema]

    def converted(self, schema: Any) -> Schema:
        """Convert a schema. Values inside it accept a reference `${...}`; the value itself does not."""
        if not isinstance(schema, dict):
            return {}
        return self._limits(schema) | self._children(schema) | self._alternatives(schema)

    def _limits(self, schema: Schema) -> Schema:
        """The keywords that limit the value itself."""
        copied = COPIED if self.settings.is_whole else COPIED - REQUIREMENTS
        limits = {key: value for key, value in schema.items() if key in copied}
        limits |= {BOUNDS[key]: value for key, value in schema.items() if key in BOUNDS}
        if OTHER_DIALECT.search(limits.get("pattern", "")):
            del limits["pattern"]
        if "const" in schema:
            limits["enum"] = [schema["const"]]
        if "enum" in limits:
            limits.pop("type", None)
        return limits

    def _children(self, schema: Schema) -> Schema:
        """The keywords that limit the values inside a mapping or list."""
        children: Schema = {}
        if "properties" in schema:
            children["properties"] = {
                name: with_default(self._removable(part)) for name, part in schema["properties"].items()
            }
        for key in ("items", "additionalProperties"):
            if schema.get(key) is False:
                children[key] = False
            elif isinstance(schema.get(key), dict):
                removable = key == "additionalProperties" and self.settings.has_named_entries
                value = self.converted(schema[key])
                children[key] = or_reference(union([value, {"type": "null"}]) if removable else value)
        if "prefixItems" in schema:
            children["items"] = [self._value(part) for part in schema["prefixItems"]]
        return children

    def _removable(self, schema: Schema) -> Schema:
        """The value of an option, and null where it removes a section or a mapping with free names."""
        is_removable = self.settings.has_named_entries and not {"$ref", "additionalProperties"}.isdisjoint(schema)
        value = self.converted(schema)
        return or_reference(union([value, {"type": "null"}]) if is_removable else value)

    def _value(self, schema: Any) -> Schema:
        return or_reference(self.converted(schema))

    def _alternatives(self, schema: Schema) -> Schema:
        """The keywords for a marked annotation, another model, or a union."""
        if MARK in schema:
            return self.settings.marked(*schema[MARK])
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if "enum" in self.definitions[name]:
                return self.converted(self.definitions[name])
            to = {"$ref": f"#/definitions/{self.names[name]}"}
            return {"type": "object", "allOf": [to]} if self.definitions[name].get("type") == "object" else to
        parts = schema.get("anyOf", schema.get("oneOf", []))
        return union([self.converted(part) for part in parts]) if parts else {}


def with_default(option: Schema) -> Schema:
    """An option with its default added to its description, where editors show it."""
    if "default" not in option:
        return option
    # An editor writes the default when it completes the option; empty ones are of no use there.
    kept = {key: value for key, value in option.items() if key != "default" or value not in (None, [], {})}
    return kept | {"description": f"{option.get('description', '')} Default: {flow(option['default'])}.".lstrip()}


class _Generator(GenerateJsonSchema):
    """Generates schemas that accept any value where foreign code converts the value or checks it less strictly."""

    _is_strict = True

    def emit_warning(self, kind: Any, detail: str) -> None:
        """Ignore defaults that JSON cannot represent."""

    def generate_inner(self, schema: Any) -> Any:
        """Accept any value for unsupported kinds."""
        if schema["type"] not in SUPPORTED and "metadata" not in schema:
            return {}
        return super().generate_inner(schema)

    def model_schema(self, schema: Any) -> Any:
        """Track whether the model is strict. A plugin's model may be lax and accept `"5"` as a number."""
        outer, self._is_strict = self._is_strict, bool(schema.get("config", {}).get("strict"))
        try:
            model = super().model_schema(schema)
        finally:
            self._is_strict = outer
        for name, text in attributes(schema["cls"]).items():
            if name in model.get("properties", {}):
                model["properties"][name]["description"] = text
        if "description" in model:
            model["description"] = without_arguments(model["description"])
        return model

    def function_before_schema(self, schema: Any) -> Any:
        """Accept any value before a function, unless it is part of artschool."""
        is_ours = schema["function"]["function"].__module__.startswith("artschool.")
        return super().function_before_schema(schema) if is_ours else {}

    def is_instance_schema(self, schema: Any) -> Any:
        """Accept any value: a file cannot contain an instance."""
        return {}

    def int_schema(self, schema: Any) -> Any:
        """Accept any value in lax models."""
        return super().int_schema(schema) if self._is_strict else {}

    def float_schema(self, schema: Any) -> Any:
        """Accept any value in lax models."""
        return super().float_schema(schema) if self._is_strict else {}

    def bool_schema(self, schema: Any) -> Any:
        """Accept any value in lax models."""
        return super().bool_schema(schema) if self._is_strict else {}
