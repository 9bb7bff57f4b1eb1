"""What is written is read back as the same values."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import yaml

from artschool.config.source import read_text
from artschool.config.write import dump

AWKWARD = [
    *("", " ", "a ", " a", "yes", "No", "on", "null", "~", "1", "1e-4", "1_000", "1:30", "0x1F", "012", ".inf", ".nan"),
    *(
        "a: b",
        "a:",
        ":a",
        "a #b",
        "#",
        "- a",
        "-",
        "--- a",
        "...",
        "?",
        "? a",
        "!x",
        "&x",
        "*x",
        "@x",
        "`x",
        "%x",
        "|",
        ">",
    ),
    *("'", '"', "it's", 'say "x"', "\\", "a\\nb", "a\nb", "\n", "a\tb", "[a", "a]", "{a}", "a, b", "=", "<<", "${a.b}"),
    *("é", "日本", "\u2028", "\u0085", "\ufeff", "\x07", "\x1b[0m", "\U0001f600", "a" * 300, "2024-01-31", "a.b/c-d_e"),
]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, dict):
        return isinstance(right, dict) and list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
def test_awkward_text_comes_back(text: str) -> None:
    key = {"": "empty", "<<": "merge"}.get(text, text)  # A file has no such keys.
    for value in ({"a": text}, {key: 1}, {"a": [text, text]}, {"a": {"b": {"c": text}, key: {"d": 1}}}):
        written = dump(value)
        assert same(read_text(written, "x").plain(), value), written


@pytest.mark.parametrize("text", [t for t in AWKWARD if t.isprintable()], ids=ascii)
def test_a_reader_of_yaml_1_1_sees_the_same_text(text: str) -> None:
    assert yaml.safe_load(dump({"a": text})) == {"a": text}


@pytest.mark.parametrize(
    "number",
    [
        *(0, -1, 10**30, 0.0, -0.0, 1.0, 1e-4, 1e16, 1e22, 5e-324, 1.7976931348623157e308, 0.1 + 0.2),
        *(math.inf, -math.inf, math.nan, True, False, None),
    ],
    ids=str,
)
def test_numbers_and_words_come_back_with_their_type(number: object) -> None:
    assert same(read_text(dump({"a": number, "b": [number]}), "x").plain(), {"a": number, "b": [number]})


def test_random_trees_come_back() -> None:
    rng = random.Random(0)

    def tree(depth: int) -> Any:
        kind = rng.randrange(6) if depth else 5
        if kind < 2:
            return {rng.choice(AWKWARD) + str(i): tree(depth - 1) for i in range(rng.randrange(4))}
        if kind == 2:
            return [tree(depth - 1) for _ in range(rng.randrange(4))]
        return rng.choice([*AWKWARD, 1, 2.5, None, True])

    for _ in range(200):
        value = {"a": tree(5), "b": tree(2)}
        written = dump(value)
        assert same(read_text(written, "x").plain(), value), written


def test_what_fits_stands_on_one_line() -> None:
    value = {
        "name": "gan",
        "train": {"iterations": 5},
        "steps": {"gen": {"trains": "gen", "losses": {"l1": {"in": ["a"]}}}},
    }
    assert dump(value) == (
        "name: gan\ntrain:\n  iterations: 5\nsteps:\n  gen:\n    trains: gen\n    losses:\n      l1: {in: [a]}\n"
    )
