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


def columns(*rows: tuple[str, ...], width: int = 40, terminal: bool = True) -> list[str]:
    file = io.StringIO()
    print_columns(Console(file=file, width=width, force_terminal=terminal, color_system=None), rows)
    return file.getvalue().splitlines()


def test_the_last_column_is_wrapped_beside_the_others() -> None:
    assert columns(("name", "word " * 12)) == ["name  " + "word " * 6 + "word", "      word word word word word"]


def test_a_name_is_not_broken_at_its_hyphens() -> None:
    assert columns(("name", "some words before a long-hyphenated-name")) == [
        "name  some words before a",
        "      long-hyphenated-name",
    ]


def test_the_last_column_goes_below_where_the_others_leave_no_room() -> None:
    rows = (
        ("key", "value", "who reads it"),
        ("  " + 12 * "k", 8 * "v", "word " * 8),
        ("evaluate", "", ""),
        ("a", "b", ""),
    )
    assert columns(*rows) == [
        "key             value",
        "      who reads it",
        "  kkkkkkkkkkkk  vvvvvvvv",
        "      word word word word word word word",
        "      word",
        "evaluate",
        "a               b",
    ]


def test_rows_in_a_pipe_stay_in_one_line_and_end_without_blanks() -> None:
    rows = (
        ("key", "value", "who reads it"),
        ("  " + 12 * "k", 8 * "v", "word " * 8),
        ("evaluate", "", ""),
        ("a", "b", ""),
    )
    assert columns(*rows, terminal=False) == [
        "key             value     who reads it",
        "  kkkkkkkkkkkk  vvvvvvvv  " + "word " * 7 + "word",
        "evaluate",
        "a               b",
    ]
