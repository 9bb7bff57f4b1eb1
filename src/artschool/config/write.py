"""Plain values as YAML text that our reader reads back as the same values."""

from __future__ import annotations

import json
from typing import Any

from artschool.config.scalars import needs_quotes

WIDTH = 100


def dump(value: Any) -> str:
    """YAML text: block style, with what fits into one line in flow style."""
    return "\n".join(_block(value, 0)) + "\n"


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(part) for part in value) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar, quoted where it would be read as something else."""
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


def _block(value: Any, indent: int) -> list[str]:
    margin = " " * indent
    if not isinstance(value, dict) or not value:
        return [margin + flow(value)]
    lines = []
    for key, part in value.items():
        line = f"{margin}{scalar(key)}: {flow(part)}"
        holds_mappings = isinstance(part, dict) and any(isinstance(inner, dict) for inner in part.values())
        if isinstance(part, dict) and part and (len(line) > WIDTH or indent == 0 or holds_mappings):
            lines += [f"{margin}{scalar(key)}:", *_block(part, indent + 2)]
        else:
            lines.append(line)
    return lines
