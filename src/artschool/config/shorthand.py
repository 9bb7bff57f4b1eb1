"""How to write a component whose type was written without what belongs around it: a name above, a mapping."""

from __future__ import annotations

from collections.abc import Sequence

from artschool.registry import REGISTRIES

PARTS = {"optimizer": "optimizers", "schedule": "schedules"}
"""The kinds of those that stand alone."""
SECTIONS = {"data": "datasets"}
"""The kinds of those that have names, where the section is not called like the kind."""


def in_full(path: Sequence[str | int], value: str) -> str:
    """The way out where a mapping was wanted and a type found; nothing where it is the type of nothing."""
    above, name = ["", *map(str, path)][-2:]
    kind = PARTS.get(name) or SECTIONS.get(above, above)
    if kind not in REGISTRIES or value not in REGISTRIES[kind]:
        return ""
    if name == "type":
        return f"A component has a name: `{above}: {{<name>: {{type: {value}}}}}`."
    return f"Write `{name}: {{type: {value}}}`."
