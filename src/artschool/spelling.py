"""Which known name a misspelt one means, if any is close."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LETTERS_PER_MISTAKE = 4
"""A name of four letters may have one mistake, one of eight two: more of them make another name."""
SHORT = 3
"""In names up to this length another letter is another name: `hr` is not `sr`, and `pen` not `gen`."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is meant by one that is not known, None when none is close."""
    names = list(known)
    # Whoever writes AdamW means adamw, though adam is closer by its letters.
    same = [other for other in names if other.casefold() == name.casefold()]
    same = same or [other for other in names if _folded(other) == _folded(name)]
    if same:
        return same[0]
    close = [other for other in names if _is_close(_folded(name), _folded(other)) or _shares_stem(name, other)]
    return max(close, key=lambda other: (difflib.SequenceMatcher(None, name, other).ratio(), other), default=None)


def _folded(name: str) -> str:
    """A name without what people forget: case, hyphens and underscores."""
    return name.casefold().replace("-", "").replace("_", "").replace(" ", "")


def _is_close(name: str, other: str) -> bool:
    longest = max(len(name), len(other))
    most = 1 if longest in (2, 3) else longest // LETTERS_PER_MISTAKE
    if abs(len(name) - len(other)) > most or min(len(name), len(other)) < 2:
        return False
    if longest <= SHORT and len(name) == len(other):
        return sorted(name) == sorted(other) and _distance(name, other) <= most
    return _distance(name, other) <= most


def _shares_stem(name: str, other: str) -> bool:
    """Whether they share their stem, or one ends with the other: `evaluation`, `evaluate`; `image_size`, `size`."""
    short, long = sorted((name.casefold().replace("-", "_"), other.casefold().replace("-", "_")), key=len)
    stem = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return len(short) >= SHORT and (stem >= max(SHORT, 0.75 * len(short)) or long.endswith(f"_{short}"))


def _distance(name: str, other: str) -> int:
    """How many letters are missing, added, wrong, or swapped with the next."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(name):
        before, above, row = row, before, [i + 1]
        for j, wanted in enumerate(other):
            cost = min(row[j] + 1, before[j + 1] + 1, before[j] + (letter != wanted))
            if i and j and letter == other[j - 1] and name[i - 1] == wanted:
                cost = min(cost, above[j - 1] + 1)
            row.append(cost)
    return row[-1]
