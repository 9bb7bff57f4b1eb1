"""Suggests the full form of a component of which a file gives only the type."""

from __future__ import annotations

from collections.abc import Sequence

from artschool.registry import REGISTRIES

PARTS = {"optimizer": "optimizers", "schedule": "schedules"}
"""The kinds of components that have no name of their own, by the option that holds them."""
SECTIONS = {"data": "datasets"}
"""The kinds of named components, by section, where the section and the kind have different names."""


def in_full(path: Sequence[str | int], value: str) -> str:
    """The suggested fix where a mapping is expected and a type is found; empty where no component has that type."""
    above, name = ["", *map(str, path)][-2:]
    kind = PARTS.get(name) or SECTIONS.get(above, above)
    if kind not in REGISTRIES or value not in REGISTRIES[kind]:
        return ""
    if name == "type":
        return f"Fix: give the component a name: `{above}: {{<name>: {{type: {value}}}}}`."
    return f"Fix: write `{name}: {{type: {value}}}`."
