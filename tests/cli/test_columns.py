"""Text beside text, and paragraphs, on terminals of any width."""

from __future__ import annotations

import io

from rich.console import Console

from artschool.cli.columns import print_columns, print_docstring

DOCSTRING = """Return the sum of two numbers, both of which have to be given by name.

It is fast.

Args:
    first: A number that may be
        negative, too.
    second: Another.

Returns:
    The sum."""


def printed(text: str, width: int, *, terminal: bool = True) -> list[str]:
    file = io.StringIO()
    print_docstring(Console(file=file, width=width, force_terminal=terminal, color_system=None), text)
    return file.getvalue().splitlines()


def test_a_docstring_that_fits_stays_as_it_is() -> None:
    assert printed(DOCSTRING, 80) == DOCSTRING.splitlines()


def test_a_docstring_in_a_pipe_stays_as_it_is() -> None:
    assert printed(DOCSTRING, 30, terminal=False) == DOCSTRING.splitlines()


def test_paragraphs_and_arguments_are_wrapped_to_a_narrow_terminal() -> None:
    assert printed(DOCSTRING, 40) == [
        "Return the sum of two numbers, both of",
        "which have to be given by name.",
        "",
        "It is fast.",
        "",
        "Args:",
        "    first: A number that may be",
        "        negative, too.",
        "    second: Another.",
        "",
        "Returns:",
        "    The sum.",
    ]
    assert "    first: A number that may be negative, too." in printed(DOCSTRING, 60)


def test_the_last_column_is_wrapped_beside_the_others() -> None:
    file = io.StringIO()
    console = Console(file=file, width=40, force_terminal=True, color_system=None)
    print_columns(console, [("name", "word " * 12)])
    lines = file.getvalue().splitlines()
    assert len(lines) == 2 and all(len(line) <= 40 for line in lines)
    assert lines[1].startswith(" " * 6 + "word")
