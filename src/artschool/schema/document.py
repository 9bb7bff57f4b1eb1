"""The schema of a whole file."""

from __future__ import annotations

from typing import Any

from artschool.config import sections
from artschool.config.source import Node
from artschool.schema.alternatives import REFERENCE, Schema
from artschool.schema.components import Components
from artschool.schema.inherited_types import inherited_types
from artschool.schema.names import Names, name_schema
from artschool.schema.shared_definitions import factor_out
from artschool.schema.values import ModelSchemas

DRAFT = "http://json-schema.org/draft-07/schema#"
"""Editors support draft 7 best, then draft 4, then later drafts."""


REQUIRED_BY_CHECK: dict[str, Schema] = {
    "section.StepSection": {"required": ["trains", "optimizer"]},
    "section.TrainSection": {"anyOf": [{"required": ["iterations"]}, {"required": ["epochs"]}]},
    "section.EvaluationSection": {
        "anyOf": [{"required": [name]} for name in ("metrics", "steps", "pictures", "audio", "video")]
    },
}
"""Options that `config.references` requires in addition to the types of the sections."""


def json_schema(names: Names = Names(), *, base: Node | None = None) -> dict[str, Any]:  # noqa: B008  # it is frozen
    """The JSON Schema, draft 7, of files that use the components registered at present.

    It accepts every file that `check` accepts. It rejects unknown options, unknown types, values of a wrong type, and
    missing options.

    Args:
        names: Names of the file, for editors to offer.
        base: The content of its `base`, whose options the file may omit; None for a file without one.
    """
    is_whole = base is None
    definitions: Schema = {
        "reference": {"type": "string", "pattern": REFERENCE, "errorMessage": "expects a reference, such as ${seed}"},
        "key": name_schema(names.keys),
        "network": name_schema(names.networks),
    }
    components = Components(definitions, is_whole=is_whole)
    models = ModelSchemas(definitions, components.marked, is_whole, has_named_entries=not is_whole)
    root = models.schema(sections.FileSections, "section")
    evaluation = definitions["section.EvaluationSection"]["properties"]
    evaluation["data"] |= name_schema(names.data)
    step = definitions["section.StepSection"]["properties"]
    step["data"] = {**name_schema(names.data), **step["data"]}
    step["data"]["items"] |= name_schema(names.data)
    evaluation["steps"]["items"] |= name_schema(names.steps)
    definitions["section.KeepBestSection"]["properties"]["metric"] |= name_schema(names.metrics)
    definitions["section.SharedOptimizerSection"]["properties"]["of"] |= name_schema(names.steps)
    for section, needed in REQUIRED_BY_CHECK.items() if is_whole else ():
        definitions[section] |= needed
    files = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    text = "The file, or list of files, that this file builds on. This file overrides their values."
    root["properties"]["base"] = {"anyOf": list(files), "description": text}
    factor_out(root, definitions)
    if base is not None:
        root["allOf"] = [inherited_types(base)]
    return {"$schema": DRAFT, "title": "artschool", **root, "definitions": dict(sorted(definitions.items()))}
