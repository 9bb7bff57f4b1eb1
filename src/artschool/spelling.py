"""Whether one name is another misspelt: only what a slip of the hand makes, not what is merely alike."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

BETWEEN_WORDS = re.compile(r"[_\-./\s]+")
SHORT = 3
"""In words of so few letters a letter for another makes another word: gen, pen."""
SLIPS = ((10, 3), (6, 2))
"""So many letters may be wrong in words that are so long; one in all others."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was meant, None when none is close.

    Close are other capitals, other characters between words, and a few letters that are missing, doubled, swapped or
    wrong. Each word counts for itself: `fake_lq` is not `fake_hq` misspelt.
    """
    names = list(known)
    # Whoever writes AdamW means adamw, though adam is closer by its letters.
    for plain in (str.casefold, _joined):
        same = [other for other in names if plain(other) == plain(name)]
        if same:
            return same[0]
    near = [(slips, -_ratio(name, other), other) for other in names if (slips := _slips(name, other)) is not None]
    if near:
        return min(near)[2]
    return max((o for o in names if _abbreviates(name, o)), key=lambda other: _ratio(name, other), default=None)


def _joined(name: str) -> str:
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    return BETWEEN_WORDS.split(name.casefold())


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _abbreviates(one: str, other: str) -> bool:
    """Whether words of one are the beginnings of those of the other: `clip_gradient_norm`, `clip_grad_norm`."""
    first, second = _words(one), _words(other)
    if len(first) != len(second):
        return False
    cut = [min(a, b, key=len) for a, b in zip(first, second, strict=True) if a != b]
    begins = all(a.startswith(b) or b.startswith(a) for a, b in zip(first, second, strict=True))
    return begins and len(cut) == 1 and (len(cut[0]) >= SHORT or (bool(cut[0]) and len(first) > 1))


def _slips(one: str, other: str) -> int | None:
    """How many letters are wrong, None where that is another name."""
    first, second = _words(one), _words(other)
    if len(first) != len(second):
        first, second = ["".join(first)], ["".join(second)]
    slips = [_slips_in_word(a, b) for a, b in zip(first, second, strict=True)]
    return None if None in slips else sum(each for each in slips if each is not None)


def _slips_in_word(one: str, other: str) -> int | None:
    slips, longest = distance(one, other), max(len(one), len(other))
    most = next((number for length, number in SLIPS if longest >= length), 1)
    if slips == 0:
        return 0
    if slips > most or longest <= 2:
        return None
    swaps_or_misses = slips == 1 and (len(one) != len(other) or sorted(one) == sorted(other))
    if swaps_or_misses:
        return 1
    # Words that begin otherwise are others: encoder, decoder. So are numbers: vgg16, vgg19.
    is_other = longest <= SHORT or one[:1] != other[:1] or _letters(one) == _letters(other)
    return None if is_other else slips


def _letters(word: str) -> str:
    return re.sub(r"\d", "", word)


def distance(one: str, other: str) -> int:
    """The fewest letters to insert, leave out, replace or swap with the next, each place at most once."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            best = min(row[j - 1] + 1, last[j] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]
