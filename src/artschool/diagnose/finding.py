"""What a check of `artschool doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A fact about a machine or a run folder.

    Attributes:
        check: What was looked at, such as `disk`.
        text: The fact.
        fix: What to do. "": nothing is wrong.
    """

    check: str
    text: str
    fix: str = ""
