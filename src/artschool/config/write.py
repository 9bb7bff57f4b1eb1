"""Writes plain values as YAML text that is read back as the same values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from artschool.config.scalars import needs_quotes
from artschool.config.source import KeyPath

WIDTH = 100

LONGEST = 60
"""The most characters of a value that are shown."""


def dump(value: Any, comments: Mapping[KeyPath, Sequence[str]] | None = None) -> str:
    """YAML text in block style; mappings that fit on one line are in flow style.

    Args:
        comments: Comment lines to write above a key, by its path. Comments on keys inside a mapping in flow style are
            written above that mapping.
    """
    return "\n".join(_block(value, (), comments or {})) + "\n"


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(part) for part in value) + "]"
    return scalar(value)


def short(text: str, most: int = LONGEST) -> str:
    """Text, shortened with `...` to at most `most` characters."""
    return text if len(text) <= most else text[: most - 3] + "..."


def scalar(value: Any) -> str:
    """A scalar, quoted where it would be read as another value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(text, text)
    if isinstance(value, str):
        return _quoted(value) if needs_quotes(value) else value
    return str(value)


def _quoted(text: str) -> str:
    escaped = (c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(text, ensure_ascii=False))
    return "".join(escaped)


def _block(value: Any, path: KeyPath, comments: Mapping[KeyPath, Sequence[str]]) -> list[str]:
    margin = "  " * len(path)
    if not isinstance(value, dict) or not value:
        return [margin + flow(value)]
    lines = []
    for key, part in value.items():
        inner = (*path, str(key))
        line = f"{margin}{scalar(key)}: {flow(part)}"
        holds_mappings = isinstance(part, dict) and any(isinstance(entry, dict) for entry in part.values())
        if isinstance(part, dict) and part and (len(line) > WIDTH or not path or holds_mappings):
            lines += [f"{margin}# {text}" for text in comments.get(inner, ())]
            lines += [f"{margin}{scalar(key)}:", *_block(part, inner, comments)]
        else:
            inside = [text for at, texts in comments.items() if at[: len(inner)] == inner for text in texts]
            lines += [f"{margin}# {text}" for text in inside] + [line]
    return lines
