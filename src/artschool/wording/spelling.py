"""Corrects a misspelt or abbreviated name. A name that is merely similar does not count."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

BETWEEN_WORDS = re.compile(r"[_\-./\s]+")
SHORT = 3
"""Up to this length, replacing a letter makes another word: gen, pen."""
ABBREVIATED = 2
"""The number of slips that an abbreviation counts as."""
SLIPS = ((10, 3), (6, 2))
"""Pairs (length of a word, wrong letters allowed from that length on). Shorter words allow one wrong letter."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The closest known name; None if none is close or two are equally close.

    Names are close if they differ in capitals, in the characters between words, by abbreviation, or by a few letters
    that are missing, doubled, swapped or wrong. Each word is compared separately: `fake_lq` is not close to `fake_hq`.
    """
    names = list(dict.fromkeys(known))
    # AdamW means adamw, although adam is closer in letters.
    for plain in (str.casefold, _joined):
        same = [other for other in names if plain(other) == plain(name)]
        if same:
            return same[0]
    found = ((_slips(name, other), -_ratio(name, other), other) for other in names)
    near = sorted((slips, ratio, other) for slips, ratio, other in found if slips is not None)
    is_unique = len(near) == 1 or (len(near) > 1 and near[0][:2] != near[1][:2])
    return near[0][2] if is_unique else None


def _joined(name: str) -> str:
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    return BETWEEN_WORDS.split(name.casefold())


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _slips(one: str, other: str) -> int | None:
    """The number of wrong letters, None where the two are different names."""
    first, second = _words(one), _words(other)
    if len(first) != len(second):
        if _begins(one, other):
            return ABBREVIATED
        return _slips_in_word("".join(first), "".join(second), least=None)
    least = SHORT if len(first) == 1 else 1
    is_long = min(map(len, (one, other))) >= SLIPS[0][0]
    slips = [_slips_in_word(a, b, least=least, is_in_long_name=is_long) for a, b in zip(first, second, strict=True)]
    return None if None in slips else sum(count for count in slips if count is not None)


def _begins(one: str, other: str) -> bool:
    """Whether one name is the other followed by more words: keep, keep_last. gen.ema is another network."""
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    return len(short) > SHORT and long.startswith(f"{short}_")


def _slips_in_word(one: str, other: str, *, least: int | None, is_in_long_name: bool = False) -> int | None:
    """The number of wrong letters in one word, None where the two are different words.

    Args:
        least: The fewest letters of an abbreviation, None where abbreviations do not count.
        is_in_long_name: Whether the word is part of a long name, in which replacing a letter makes no other name.
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
    # Words with another first letter or another number are different: encoder, decoder; vgg16, vgg19.
    is_other = one[:1] != other[:1] or _differs_in_digits(one, other)
    return None if is_other or (not is_in_long_name and longest <= SHORT) else slips


def _is_abbreviated(one: str, other: str, least: int) -> bool:
    """Whether one word begins the other: val, valid. In a name of several words, one letter is enough: n_codes."""
    short, long = sorted((one, other), key=len)
    return len(short) >= least and len(long) > SHORT - 1 and long.startswith(short) and long.isalpha()


def _differs_in_digits(one: str, other: str) -> bool:
    """Whether two words differ only in the number that both contain."""
    (first, letters), (second, other_letters) = _split_digits(one), _split_digits(other)
    return letters == other_letters and bool(first) and bool(second)


def _split_digits(word: str) -> tuple[str, str]:
    return re.sub(r"\D", "", word), re.sub(r"\d", "", word)


def distance(one: str, other: str) -> int:
    """The edit distance: the fewest letters to insert, delete, replace or swap with a neighbour, each at most once."""
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
