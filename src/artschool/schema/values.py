"""From a pydantic model to JSON Schema, draft 7, of what a file may hold: never less, so that nothing right is marked.

In a file, `${...}` may stand for any value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from artschool.config.docstrings import attributes, without_arguments
from artschool.config.write import flow
from artschool.registry.signature import MARK
from artschool.schema.alternatives import Schema, or_reference, union

UNDERSTOOD = {
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
UNDERSTOOD |= {"default", "nullable", "union", "tagged-union", "chain", "json-or-python", "lax-or-strict"}
UNDERSTOOD |= {"model", "model-fields", "model-field", "typed-dict", "dataclass", "dataclass-args"}
UNDERSTOOD |= {"definitions", "definition-ref", "function-before", "function-after", "is-instance", "custom-error"}
"""Kinds of pydantic's core schemas; what another takes is not told."""
LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""What pydantic calls the limits of a number that a function reads first."""
NEEDS = {"required", "minProperties"}
"""What a `base` may give."""
KEPT = NEEDS | {"type", "enum", "description", "default", "minLength", "maxLength", "pattern", "minItems", "maxItems"}
KEPT |= {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
"""What means the same here as where pydantic writes it."""
OTHER_DIALECT = re.compile(r"\(\?|\\[a-ce-zA-Z]")
"""Parts of a pattern that mean something else in JavaScript, or nothing."""

Marked = Callable[[str, str], Schema]
"""Gives the schema of what a `signature.Marker` stands for, by its role and kind."""


@dataclass(frozen=True)
class Models:
    """Says in the words of draft 7, and in as few, what a file may say where pydantic validates.

    Attributes:
        definitions: Gets what a model refers to.
        is_whole: Whether the file says all that it must, or may leave some to its `base`.
    """

    definitions: Schema
    marked: Marked
    is_whole: bool

    def read(self, model: type[BaseModel], name: str, texts: Mapping[str, str] = MappingProxyType({})) -> Schema:
        """The properties of a model, and the names that it requires.

        Args:
            name: Stands before the names of what it refers to.
            texts: What its options mean, beyond what its own docstring says.
        """
        raw = model.model_json_schema(schema_generator=_Generator)
        for option in raw["properties"].keys() & texts.keys():
            raw["properties"][option]["description"] = texts[option]
        reader = _Reader(self, f"{name}.", raw.get("$defs", {}))
        for inner, schema in raw.get("$defs", {}).items():
            plain = reader.plain(schema)
            if plain.get("type") == "object":
                del plain["type"]  # What refers to it says so, or takes something else besides.
            self.definitions[f"{name}.{inner}"] = plain
        return reader.plain(raw)


@dataclass(frozen=True)
class _Reader:
    """Reads what pydantic says of one model."""

    models: Models
    prefix: str
    definitions: Mapping[str, Schema]

    def plain(self, schema: Any) -> Schema:
        """Without a reference `${...}` in its place, with those below it."""
        if not isinstance(schema, dict):
            return {}
        kept = KEPT if self.models.is_whole else KEPT - NEEDS
        plain = {key: value for key, value in schema.items() if key in kept}
        plain |= {LIMITS[key]: value for key, value in schema.items() if key in LIMITS}
        if OTHER_DIALECT.search(plain.get("pattern", "")):
            del plain["pattern"]
        if "const" in schema:
            plain["enum"] = [schema["const"]]
        if "enum" in plain:
            plain.pop("type", None)
        if "properties" in schema:
            plain["properties"] = {name: with_default(self._value(part)) for name, part in schema["properties"].items()}
        for key in ("items", "additionalProperties"):
            if schema.get(key) is False:
                plain[key] = False
            elif isinstance(schema.get(key), dict):
                plain[key] = self._value(schema[key])
        if "prefixItems" in schema:
            plain["items"] = [self._value(part) for part in schema["prefixItems"]]
        return plain | self._alternatives(schema)

    def _value(self, schema: Any) -> Schema:
        return or_reference(self.plain(schema))

    def _alternatives(self, schema: Schema) -> Schema:
        if MARK in schema:
            return self.models.marked(*schema[MARK])
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if "enum" in self.definitions[name]:
                return self.plain(self.definitions[name])
            to = {"$ref": f"#/definitions/{self.prefix}{name}"}
            return {"type": "object", "allOf": [to]} if self.definitions[name].get("type") == "object" else to
        parts = schema.get("anyOf", schema.get("oneOf", []))
        return union([self.plain(part) for part in parts]) if parts else {}


def with_default(option: Schema) -> Schema:
    """The same, with its default in its description: editors show no other."""
    if "default" not in option:
        return option
    told = {key: value for key, value in option.items() if key != "default" or value not in (None, [], {})}
    # Such a default would be written into the file where the option is completed.
    return told | {"description": f"{option.get('description', '')} Default: {flow(option['default'])}.".lstrip()}


class _Generator(GenerateJsonSchema):
    """Says nothing of a type that somebody else's code converts or checks less strictly."""

    _is_strict = True

    def emit_warning(self, kind: Any, detail: str) -> None:
        """A default that JSON cannot say is no matter."""

    def generate_inner(self, schema: Any) -> Any:
        """Only what is understood."""
        if schema["type"] not in UNDERSTOOD and "metadata" not in schema:
            return {}
        return super().generate_inner(schema)

    def model_schema(self, schema: Any) -> Any:
        """A user's model may be lax: `"5"` is a number to it."""
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
        """A function that changes the value may take anything, except ours."""
        is_ours = schema["function"]["function"].__module__.startswith("artschool.")
        return super().function_before_schema(schema) if is_ours else {}

    def is_instance_schema(self, schema: Any) -> Any:
        """No file holds one."""
        return {}

    def int_schema(self, schema: Any) -> Any:
        """Numbers."""
        return super().int_schema(schema) if self._is_strict else {}

    def float_schema(self, schema: Any) -> Any:
        """Numbers."""
        return super().float_schema(schema) if self._is_strict else {}

    def bool_schema(self, schema: Any) -> Any:
        """Truth."""
        return super().bool_schema(schema) if self._is_strict else {}
