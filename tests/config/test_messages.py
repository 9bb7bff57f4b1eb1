"""What is said of values that a model refuses."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from artschool.config.messages import validate
from artschool.config.source import read_text

NAMES = tuple(f"name_{i}" for i in range(50))


class Options(BaseModel):
    """One of very many names."""

    name: Literal[NAMES]  # type: ignore[valid-type]  # a tuple that is made here


def test_of_very_many_names_the_most_alike_are_told() -> None:
    _, faults = validate(Options, read_text("name: nam_17", "x.yml"), "", ["name"], "it")
    assert len(faults) == 1
    assert faults[0].message == "expected one of 50 names, got text 'nam_17'"
    assert faults[0].hint.startswith("Available names: name_1, name_17, name_")
    assert faults[0].hint.endswith(" and 42 more. Did you mean 'name_17'?")
