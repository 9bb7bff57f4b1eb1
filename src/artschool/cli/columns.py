"""Print rows in columns, and paragraphs. Text is wrapped only on a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

GAP = 2
BELOW = 6
"""Indentation of a last column that is printed below the others."""
ITEM = re.compile(r" +\w+: ")
"""The beginning of an argument in a docstring."""
NARROWEST = 24
"""Minimum width of wrapped text, in characters."""


def print_columns(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """Print rows with the same number of columns. A first column that is not indented is bold.

    On a terminal the last column is wrapped within its width. On a narrow one it is printed below the others.
    """
    widths = [max(map(len, column)) + GAP for column in zip(*rows, strict=True)][:-1]
    indent = sum(widths)
    is_below = console.is_terminal and console.width - indent < NARROWEST
    if is_below:
        indent = BELOW
    for *names, text in rows:
        head, lines = "".join(name.ljust(width) for name, width in zip(names, widths, strict=True)), [text]
        if console.is_terminal:
            room = max(console.width - indent, NARROWEST)
            lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        lines = [head, *lines] if is_below else [head + "".join(lines[:1]), *lines[1:]]
        printed = Text(f"\n{' ' * indent}".join(line.rstrip() for line in lines))
        if not head.startswith(" "):
            printed.stylize("bold", 0, len(names[0]))
        console.print(printed, soft_wrap=True)


def print_docstring(console: Console, text: str) -> None:
    """Print a docstring. On a terminal that is narrower than its lines, its paragraphs are wrapped again."""
    lines = text.splitlines()
    if console.is_terminal and max(map(len, lines), default=0) > console.width:
        lines = [part for paragraph in _paragraphs(lines) for part in _wrapped(paragraph, console.width)]
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _paragraphs(lines: Sequence[str]) -> list[list[str]]:
    """Group lines into paragraphs: successive lines of text, and an argument with its indented lines."""
    paragraphs: list[list[str]] = []
    for line in lines:
        first = paragraphs[-1][0] if paragraphs else ""
        deeper, level = _indent(line) > _indent(first) > 0, _indent(line) == _indent(first)
        continues = deeper or (level and first[-1:] != ":" and not ITEM.match(line))
        if first.strip() and line.strip() and continues:
            paragraphs[-1].append(line)
        else:
            paragraphs.append([line])
    return paragraphs


def _wrapped(paragraph: Sequence[str], width: int) -> list[str]:
    indent = _indent(paragraph[0])
    text = " ".join(line.strip() for line in paragraph)
    deeper = " " * (indent + 4 if ITEM.match(paragraph[0]) else indent)
    wrapped = textwrap.wrap(
        text, max(width, NARROWEST), initial_indent=" " * indent, subsequent_indent=deeper, break_long_words=False
    )
    return wrapped or [""]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
