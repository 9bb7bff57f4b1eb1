"""Docstrings and tables as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

SECTION = re.compile(
    r"^(Args|Attributes|Parameters|Keyword Args|Returns|Yields|Raises|Example|Examples|Note|Source):[ \t]*(.*)$", re.M
)
ITEM = re.compile(r"^\*{0,2}(\w+(?:, \w+)*)(?: \([^\n]*?\))?:\s+", re.M)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a `|` within a cell is escaped."""
    lines = [list(head), ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"


def prose(text: str) -> str:
    """Text of a docstring as Markdown: what is not code has no markup, and arXiv numbers are links."""
    parts = re.split(r"(``[^`]+``|`[^`\n]+`)", text)
    return "".join(part if index % 2 else _escaped(part) for index, part in enumerate(parts))


def _escaped(text: str) -> str:
    text = re.sub(r"([<*\[\]])", r"\\\1", text)
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def paragraphs(text: str) -> str:
    """Paragraphs of a docstring; indented ones are formulas or code and stay as they are."""
    blocks = re.split(r"\n[ \t]*\n", text.strip("\n"))
    return "\n\n".join(block if block.startswith("    ") else prose(block) for block in blocks)


def docstring(text: str, *, skip: Sequence[str] = ()) -> str:
    """A docstring in Google's style as Markdown.

    Args:
        text: The docstring.
        skip: Sections to leave out, such as `Args`.
    """
    text = inspect.cleandoc(text)
    parts = SECTION.split(text)
    written = [paragraphs(parts[0])] if parts[0].strip() else []
    for title, first, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        body, after = _indented(rest)
        if title not in skip:
            written.append(_section(title, first, body))
        if after.strip():
            written.append(paragraphs(after))
    return "\n\n".join(written) + "\n"


def _indented(text: str) -> tuple[str, str]:
    """The indented block that a section consists of, and the text after it."""
    lines = text.removeprefix("\n").split("\n")
    # The continuation of `Source: ...` is not indented; it ends at an empty line.
    is_block = bool(lines) and lines[0].startswith((" ", "\t"))
    end = next(
        (
            index
            for index, line in enumerate(lines)
            if (line and not line.startswith((" ", "\t")) if is_block else not line.strip())
        ),
        len(lines),
    )
    return inspect.cleandoc("\n" + "\n".join(lines[:end])), "\n".join(lines[end:])


def _section(title: str, first: str, body: str) -> str:
    if title == "Source":
        return f"Source: {prose(' '.join(f'{first} {body}'.split()))}"
    items = ITEM.split(body)
    if title in ("Args", "Attributes", "Parameters", "Keyword Args", "Raises") and len(items) > 1:
        rows = [
            f"- `{name}`: {prose(' '.join(text.split()))}" for name, text in zip(items[1::2], items[2::2], strict=True)
        ]
        return f"**{title}**\n\n" + "\n".join(rows)
    return f"**{title}**\n\n{paragraphs(f'{first}{chr(10)}{body}'.strip())}"
