"""Whether one name is another misspelt: a slip of the hand or an abbreviation, not what is merely alike."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

BETWEEN_WORDS = re.compile(r"[_\-./\s]+")
SHORT = 3
"""In words of so few letters a letter for another makes another word: gen, pen."""
ABBREVIATED = 2
"""An abbreviation counts as so many slips."""
SLIPS = ((10, 3), (6, 2))
"""So many letters may be wrong in words that are so long; one in all others."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was meant, None when none is close, or two are as close.

    Close are other capitals, other characters between words, abbreviations, and a few letters that are missing,
    doubled, swapped or wrong. Each word counts for itself: `fake_lq` is not `fake_hq` misspelt.
    """
    names = list(dict.fromkeys(known))
    # Whoever writes AdamW means adamw, though adam is closer by its letters.
    for plain in (str.casefold, _joined):
        same = [other for other in names if plain(other) == plain(name)]
        if same:
            return same[0]
    found = ((_slips(name, other), -_ratio(name, other), other) for other in names)
    near = sorted((slips, ratio, other) for slips, ratio, other in found if slips is not None)
    is_one = len(near) == 1 or (len(near) > 1 and near[0][:2] != near[1][:2])  # Of two as close, who knows.
    return near[0][2] if is_one else None


def _joined(name: str) -> str:
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    return BETWEEN_WORDS.split(name.casefold())


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _slips(one: str, other: str) -> int | None:
    """How many letters are wrong, None where that is another name."""
    first, second = _words(one), _words(other)
    if len(first) != len(second):
        if _begins(one, other):
            return ABBREVIATED
        return _slips_in_word("".join(first), "".join(second), least=None)
    least = SHORT if len(first) == 1 else 1
    is_long = min(map(len, (one, other))) >= SLIPS[0][0]
    slips = [_slips_in_word(a, b, least=least, is_beside_others=is_long) for a, b in zip(first, second, strict=True)]
    return None if None in slips else sum(each for each in slips if each is not None)


def _begins(one: str, other: str) -> bool:
    """Whether one name is the other with more words after it: keep, keep_last. An average is another network."""
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    return len(short) > SHORT and long.startswith(f"{short}_")


def _slips_in_word(one: str, other: str, *, least: int | None, is_beside_others: bool = False) -> int | None:
    """The same of one word.

    Args:
        least: How many letters are enough for an abbreviation, None where there is none.
        is_beside_others: Whether it is a part of a long name, so that a letter for another makes no other name.
    """
    slips, longest = distance(one, other), max(len(one), len(other))
    most = next((number for length, number in SLIPS if longest >= length), 1)
    if slips == 0:
        return 0
    if least is not None and _is_abbreviated(one, other, least):
        return min(slips, ABBREVIATED)
    if slips > most or longest <= 2:
        return None
    swaps_or_misses = slips == 1 and (len(one) != len(other) or sorted(one) == sorted(other))
    if swaps_or_misses:
        return 1
    # Words that begin otherwise are others: encoder, decoder. So are those of another number: vgg16, vgg19.
    is_other = one[:1] != other[:1] or _differs_in_digits(one, other)
    return None if is_other or (not is_beside_others and longest <= SHORT) else slips


def _is_abbreviated(one: str, other: str, least: int) -> bool:
    """Whether one word is the beginning of the other: val, valid; beside other words a letter will do: n_codes."""
    short, long = sorted((one, other), key=len)
    return len(short) >= least and len(long) > SHORT - 1 and long.startswith(short) and long.isalpha()


def _differs_in_digits(one: str, other: str) -> bool:
    """Whether two words are the same but for a number that both have."""
    (first, letters), (second, others) = _numbered(one), _numbered(other)
    return letters == others and bool(first) and bool(second)


def _numbered(word: str) -> tuple[str, str]:
    return re.sub(r"\D", "", word), re.sub(r"\d", "", word)


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
