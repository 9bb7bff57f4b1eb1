"""The schema of a whole file."""

from __future__ import annotations

from typing import Any

from artschool.config import sections
from artschool.config.source import Node
from artschool.schema.alternatives import REFERENCE, Schema
from artschool.schema.components import Components
from artschool.schema.definitions import factor_out
from artschool.schema.names import Names, name
from artschool.schema.typed_by_base import typed_by_base
from artschool.schema.values import Models

DRAFT = "http://json-schema.org/draft-07/schema#"
"""Drafts are understood by editors in this order: 7, 4, then later ones."""


NEEDED: dict[str, Schema] = {
    "section.StepSection": {"required": ["trains", "optimizer"]},
    "section.TrainSection": {"anyOf": [{"required": ["iterations"]}, {"required": ["epochs"]}]},
    "section.EvaluationSection": {"anyOf": [{"required": ["metrics"]}, {"required": ["steps"]}]},
}
"""What `config.references` demands beyond the types of the sections."""


def json_schema(names: Names = Names(), *, base: Node | None = None) -> dict[str, Any]:  # noqa: B008  # it is frozen
    """The JSON Schema, draft 7, of files that use what is registered now.

    It refuses nothing that `check` accepts, and of what `check` refuses it finds unknown options and types, wrong
    types of values, and what is missing.

    Args:
        names: Of the file that it is for.
        base: What its `base` says, which the file may leave out; None for a file that stands alone.
    """
    is_whole = base is None
    definitions: Schema = {
        "reference": {"type": "string", "pattern": REFERENCE, "errorMessage": "expects a reference such as ${seed}"},
        "key": name(names.keys),
        "network": name(names.networks),
    }
    components = Components(definitions, is_whole=is_whole)
    root = Models(definitions, components.marked, is_whole).read(sections.FileSections, "section")
    evaluation = definitions["section.EvaluationSection"]["properties"]
    evaluation["data"] |= name(names.data)
    evaluation["steps"]["items"] |= name(names.steps)
    definitions["section.KeepBestSection"]["properties"]["metric"] |= name(names.metrics)
    for section, needed in NEEDED.items() if is_whole else ():
        definitions[section] |= needed
    files = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    text = "A file, or a list of files, to start from; this file counts more."
    root["properties"]["base"] = {"anyOf": list(files), "description": text}
    factor_out(root, definitions)
    if base is not None:
        root["allOf"] = [typed_by_base(base)]
    return {"$schema": DRAFT, "title": "artschool", **root, "definitions": dict(sorted(definitions.items()))}
