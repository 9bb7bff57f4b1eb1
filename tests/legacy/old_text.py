"""Short ways to convert text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artschool.config.source import Node, read_text
from artschool.faults import Fault
from artschool.legacy.rules import Fields, Notes

FILES = Path(__file__).parent / "files"


def node(text: str) -> Node:
    """Text of an old file, as if it stood in old.yml."""
    return read_text(text, "old.yml", yaml11=True)


def plain(fields: Fields) -> dict[str, Any]:
    """Fields as plain values."""
    return {name: value.plain() for name, value in fields.items()}


def told(faults: list[Fault]) -> list[str]:
    """Faults as `line:column: path: message`."""
    return [f"{fault.place.line}:{fault.place.column}: {fault.path}: {fault.message}" for fault in faults]


def silent(notes: Notes) -> bool:
    """Whether there was nothing to say."""
    return not notes.faults and not notes.warnings
