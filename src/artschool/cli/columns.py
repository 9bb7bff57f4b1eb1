"""Rows in columns: wrapped beside their column on a terminal, one line each in a pipe or a file."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

GAP = 2
NARROWEST = 24
"""Letters in a line of wrapped text, however narrow the terminal is."""


def print_columns(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equal length; only the last column may be long. A first name that is not indented is bold."""
    widths = [max(map(len, column)) + GAP for column in zip(*rows, strict=True)][:-1]
    indent = sum(widths)
    for *names, text in rows:
        first, *others = [name.ljust(width) for name, width in zip(names, widths, strict=True)]
        lines = [text]
        if console.is_terminal:
            lines = textwrap.wrap(text, max(console.width - indent, NARROWEST), break_long_words=False)
        rest = "".join([*others, f"\n{' ' * indent}".join(lines)])
        style = "" if first.startswith(" ") else "bold"
        console.print(Text.assemble((first if rest else first.rstrip(), style), rest), soft_wrap=True)
