"""Moves repeated parts of a schema into shared definitions, which makes it a third smaller."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from artschool.schema.alternatives import Schema

LONGEST_INLINE = 60
"""Longest part that is repeated in place, in characters of JSON."""


def factor_out(root: Schema, definitions: Schema) -> None:
    """Replace options that are equal, or that accept the same values, by references to a definition."""
    models = [root, *definitions.values()]
    for shared_part in (dict, without_annotations):
        counts = Counter(_text(shared_part(option)) for _, _, option in _options(models))
        names: dict[str, str] = {}
        for name, properties, option in list(_options(models)):
            shared, text = shared_part(option), _text(shared_part(option))
            if counts[text] > 1 and len(text) > LONGEST_INLINE:
                if text not in names:
                    names[text] = f"{name}.{len(definitions)}"
                    definitions[names[text]] = shared
                annotations = {key: value for key, value in option.items() if key not in shared}
                properties[name] = {"$ref": f"#/definitions/{names[text]}"} | annotations


def _options(models: list[Schema]) -> Iterator[tuple[str, Schema, Schema]]:
    for model in models:
        properties = model.get("properties", {})
        for name, option in properties.items():
            yield name, properties, option


def without_annotations(option: Schema) -> Schema:
    """A schema without its description and default: only what it accepts."""
    return {key: value for key, value in option.items() if key not in ("description", "default")}


def _text(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)
