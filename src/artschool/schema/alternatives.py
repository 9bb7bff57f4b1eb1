"""Schemas that accept one of several forms, with as few alternatives as possible.

Editors report an error for each alternative, so fewer alternatives give clearer messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]
REFERENCE = r"\$\{"
TYPE_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
"""JSON types, as messages name them."""
CHOICES: Mapping[str, list[Any]] = {"null": [None], "boolean": [True, False]}
"""All values of the types that have few."""


def union(schemas: list[Schema]) -> Schema:
    """A schema that accepts what any of several accepts."""
    alternatives = _flattened(schemas)
    if {} in alternatives:
        return {}
    enums = [schema for schema in alternatives if "enum" in schema and set(schema) <= {"enum", "type"}]
    typed = [schema for schema in alternatives if schema not in enums and _is_typed(schema)]
    others = [schema for schema in alternatives if schema not in enums and schema not in typed]
    if enums:
        choices, typed = _choices(enums, typed)
        others.insert(0, {"enum": choices})
    alternatives = [*_merged(typed), *others]
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


def _flattened(schemas: list[Schema]) -> list[Schema]:
    """The alternatives of alternatives in one list, without integers where any number is accepted."""
    flat = [inner for schema in schemas for inner in (schema["anyOf"] if set(schema) == {"anyOf"} else [schema])]
    if {"type": "number"} in flat:
        return [schema for schema in flat if schema.get("type") != "integer"]
    return flat


def _is_typed(schema: Schema) -> bool:
    """Whether a schema is a type with limits, which can be merged with others."""
    return "type" in schema and not {"enum", "$ref", "anyOf"} & set(schema)


def _choices(enums: list[Schema], typed: list[Schema]) -> tuple[list[Any], list[Schema]]:
    """All values of enumerations, null and booleans included, and the types that are not among them."""
    choices = [value for schema in enums for value in schema["enum"]]
    remaining = []
    for schema in typed:
        if schema in ({"type": "null"}, {"type": "boolean"}):
            choices += CHOICES[schema["type"]]
        else:
            remaining.append(schema)
    return choices, remaining


def _merged(typed: list[Schema]) -> list[Schema]:
    """One schema with all types and limits, where each limit applies to a single type; otherwise the schemas."""
    types = [name for schema in typed for name in types_of(schema)]
    shares_limits = len(set(types)) < len(types) or {"integer", "number"} <= set(types)
    if len(typed) < 2 or shares_limits:
        return typed
    texts = ("description", "errorMessage")
    merged = {key: value for schema in typed for key, value in schema.items() if key not in texts}
    return [merged | {"type": types}]


def types_of(schema: Schema) -> list[str]:
    """The JSON types of a schema, empty where it names none."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def or_reference(schema: Schema) -> Schema:
    """A schema that also accepts a reference `${...}`."""
    if _accepts_any_text(schema):
        return schema
    annotations = {key: schema[key] for key in ("description", "default") if key in schema}
    bare = {key: value for key, value in schema.items() if key not in annotations}
    if "string" in bare.get("type", ()) and "pattern" in bare and not {"minLength", "maxLength"} & set(bare):
        # Otherwise an editor quotes the pattern.
        expected = " or ".join(TYPE_NAMES[name] for name in types_of(bare) if name != "string")
        message = {"errorMessage": f"expects {expected}, or text of another form"} if expected else {}
        return bare | {"pattern": f"{bare['pattern']}|{REFERENCE}"} | message | annotations
    if "type" not in bare or "string" in bare["type"]:
        return {"anyOf": [*bare.get("anyOf", [bare]), {"$ref": "#/definitions/reference"}]} | annotations
    types = types_of(bare)
    del bare["type"]
    expected = " or ".join(TYPE_NAMES[name] for name in types)
    message = {"errorMessage": f"expects {expected}"}
    return bare | {"type": [*types, "string"], "pattern": REFERENCE} | message | annotations


def _accepts_any_text(schema: Mapping[str, Any]) -> bool:
    """Whether a schema accepts any text, and so references too."""
    if schema.get("$ref") in ("#/definitions/key", "#/definitions/network"):
        return True
    if "anyOf" in schema:
        return any(_accepts_any_text(part) for part in schema["anyOf"])
    limits = {"enum", "pattern", "maxLength", "$ref", "if", "allOf"}
    is_free = schema.get("minLength", 0) <= len("${a}") and not limits & set(schema)
    return is_free and ("type" not in schema or "string" in schema["type"])
