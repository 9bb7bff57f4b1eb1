"""Numbers with their nouns: `1 key`, `2 keys`, `iterations 4 to 7`."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless the number is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def iterations_of(span: range) -> str:
    """The iterations of a range that is not empty: `iterations 4 to 7`, or `iteration 4`."""
    first, last = span[0], span[-1]
    return f"iteration {first}" if first == last else f"iterations {first} to {last}"
