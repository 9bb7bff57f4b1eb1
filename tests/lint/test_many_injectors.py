"""The check of a file takes time that grows with its length, and no faster."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from artschool.config.compose import finish
from artschool.config.source import read_text
from artschool.lint import Subject, lint
from artschool.read.check import check_tree
from benchmarks.check import chain


def calls_to_check(injectors: int) -> int:
    """The number of calls of Python functions in which a file is read, checked and linted."""
    text = chain(injectors)
    count = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        warnings = [*lint(Subject(check_tree(finish(read_text(text, "chain.yml"), Path("chain.yml")))))]
    finally:
        sys.setprofile(None)
    assert not warnings
    return count


def test_twice_the_injectors_take_twice_the_calls() -> None:
    calls_to_check(2)  # Loads the components.
    few, many = calls_to_check(60), calls_to_check(120)
    assert many < 2.1 * few
