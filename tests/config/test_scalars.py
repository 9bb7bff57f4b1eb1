"""Plain scalars by the tables of YAML 1.2.2, sections 10.2.1.2 and 10.3.2, and what only YAML 1.1 reads otherwise."""

from __future__ import annotations

import math

import pytest

from artschool.config.scalars import Scalar, needs_quotes, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, None) for text in ("", "~", "null", "Null", "NULL")),
        *((text, True) for text in ("true", "True", "TRUE")),
        *((text, False) for text in ("false", "False", "FALSE")),
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("-19", -19),
        ("012", 12),
        ("0o7", 7),
        ("0o17", 15),
        ("0x3A", 58),
        ("0xdeadBEEF", 0xDEADBEEF),
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("12e03", 12000.0),
        ("-2E+05", -200000.0),
        ("0.", 0.0),
        ("-0.0", -0.0),
        (".5", 0.5),
        ("+12.3", 12.3),
        (".inf", math.inf),
        ("+.INF", math.inf),
        ("-.Inf", -math.inf),
        ("1" * 400, int("1" * 400)),
        # Text, though it looks like more.
        *(
            (text, text)
            for text in (
                *("yes", "no", "on", "off", "Yes", "NO", "y", "n"),
                *("tRUE", "nULL", "None", "nan", "inf", ".Nan", "-.nan", "infinity"),
                *("1_000", "1:30", "0b11", "0o8", "-0x3A", "-0o7", "0xG", "1e", "e5", ".", "-", "+", "--1", "1.2.3"),
                *("1e-4x", " 1", "1 ", "2024-01-31", "=", "1" * 401),
            )
        ),
    ],
)
def test_a_scalar_is(text: str, value: Scalar) -> None:
    found = resolve(text)
    assert (type(found), found) == (type(value), value)
    assert not isinstance(value, float) or math.copysign(1, found) == math.copysign(1, value)  # type: ignore[arg-type]  # a float, says the line above


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number_is_one(text: str) -> None:
    found = resolve(text)
    assert isinstance(found, float) and math.isnan(found)


@pytest.mark.parametrize(
    ("text", "value"),
    [("yes", True), ("Yes", True), ("YES", True), ("on", True), ("no", False), ("Off", False), ("y", "y"), ("1", 1)],
)
def test_files_for_yaml_1_1_have_more_words(text: str, value: Scalar) -> None:
    assert resolve(text, yaml11=True) == value


@pytest.mark.parametrize("text", ["gen", "a.b", "photos/psnr", "a b", "../x.yml", "x-1", "a:b", "1a", "é", "x#y"])
def test_plain_text_needs_no_quotes(text: str) -> None:
    assert not needs_quotes(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yes", "off", "null", "~", "1", "1e-4", "1_000", "1:30", "2024-01-31", "2024-01-31T10:00:00Z", "=", "<<"),
        *(" a", "a ", "a: b", "a:", "a #b", "#a", "- a", "-", "?", "a, b", "a\nb", "a\tb", "a\x07b", "a\u2028b"),
        *("!a", "&a", "*a", "@a", "`a", "%a", "'a", '"a', "[a", "{a", "|", ">"),
    ],
)
def test_what_would_be_read_as_something_else_needs_quotes(text: str) -> None:
    assert needs_quotes(text)
