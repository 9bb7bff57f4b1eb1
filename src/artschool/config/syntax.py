"""What is wrong with text that is invalid YAML, and how to fix it: the parser's own message rarely says so."""

from __future__ import annotations

from typing import Any

import yaml

from artschool.faults import Fault, Place

MAX_DEPTH = 64
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


def syntax_fault(error: yaml.YAMLError, source: str, text: str) -> Fault:
    """The fault of a text that is invalid YAML."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if isinstance(error, yaml.reader.ReaderError):
        before = text.encode()[: error.position].decode()
        place = Place(source, before.count("\n") + 1, len(before) - before.rfind("\n"))
        return Fault(place, "", f"invalid YAML: {error.reason}, got {text[len(before)]!r}")
    if mark is None:
        return Fault(Place(source), "", f"invalid YAML: {error}")
    if "nesting depth" in str(problem):
        return Fault(place_of(source, mark), "", TOO_DEEP)
    context = getattr(error, "context", None) or ""
    start = getattr(error, "context_mark", None)
    if start is not None and context == "while scanning a simple key":
        mark = start  # The parser notices the problem only on the next line.
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        hint = "Fix: indent with spaces; YAML does not allow tabs for indentation."
    elif "flow" in context and "${" in line[: mark.column + 1]:
        hint = 'Fix: inside { } or [ ], put a reference in quotes: "${...}".'
    elif "scalar" in context and "end of stream" in str(problem) and start is not None:
        hint = f"The quote opens at {place_of(source, start)}."
    elif "flow" in context and start is not None and start.index < mark.index:
        hint = f"The bracket opens at {place_of(source, start)}."
    else:
        hint = next((advice for part, advice in ADVICE.items() if part in str(problem)), "")
    return Fault(place_of(source, mark), "", f"invalid YAML: {problem or error}", hint)


ADVICE = {
    "cannot start any token": "Fix: put text that begins with this character in quotes.",
    "mapping values are not allowed": "Fix: put text that contains ': ' in quotes, "
    "align the line with the keys above, or end the key above with ':'.",
    "could not find expected ':'": "Each entry of a mapping is written as `key: value`.",
    "did not find expected key": "All keys of a mapping start in the same column.",
    "did not find expected '-' indicator": "All items of a list start with `- ` in the same column.",
}
"""Suggested fixes, by a part of the parser's message: libyaml has no error codes."""


def place_of(source: str, mark: Any) -> Place:
    """The location of a mark of the parser, which counts from 0."""
    return Place(source, mark.line + 1, mark.column + 1)
