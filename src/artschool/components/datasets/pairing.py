"""Files of two folders that belong together because they have the same name."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from artschool.errors import DataError

MAX_LISTED = 4
"""The most names that an error lists for each folder."""


@dataclass(frozen=True)
class Side:
    """The files on one side of the pairs.

    Attributes:
        location: The folders, for errors.
        names: Paths of the files, with `/` between folders.
        suffix: Text before the extension that is no part of the common name.
    """

    location: str
    names: Sequence[str]
    suffix: str = ""

    def stems(self, owner: str) -> dict[str, int]:
        """The index of each file by the name that it has in common with its counterpart.

        Raises:
            DataError: Two files have one name.
        """
        indices: dict[str, int] = {}
        for index, name in enumerate(self.names):
            stem = _stem(name)
            stem = stem.removesuffix(self.suffix) if stem.endswith(self.suffix) else name
            if (other := indices.setdefault(stem, index)) != index:
                raise DataError(
                    f"{owner}: {self.location}: duplicate image {stem!r} (expected one extension, got several: "
                    f"{self.names[other]}, {name}). Fix: remove all but one"
                )
        return indices


def pair_by_name(first: Side, second: Side, owner: str) -> list[tuple[int, int]]:
    """Return the indices of the files that belong together, in the order of the second side.

    Files belong together if their paths are equal without extension and suffix. Case matters. Letters with accents are
    equal in both of their Unicode forms.

    Raises:
        DataError: A file has no counterpart, or two.
    """
    indices, others = first.stems(owner), second.stems(owner)
    if indices.keys() != others.keys():
        raise DataError(f"{owner}: {_unpaired(first, second, indices, others)}")
    return [(indices[stem], index) for stem, index in others.items()]


def _stem(name: str) -> str:
    """The path without extension."""
    return unicodedata.normalize("NFC", posixpath.normpath(posixpath.splitext(name)[0]))


def _unpaired(first: Side, second: Side, indices: Mapping[str, int], others: Mapping[str, int]) -> str:
    only = [(first.location, sorted(indices.keys() - others)), (second.location, sorted(others.keys() - indices))]
    listed = "; ".join(f"only in {location}: {_shown(stems)}" for location, stems in only if stems)
    count = sum(len(stems) for _, stems in only)
    have = "image has" if count == 1 else "images have"
    return f"{count} {have} no counterpart (expected the same names in both folders, got {listed}). {_fix(*only)}"


def _shown(stems: Sequence[str]) -> str:
    more = [f"and {len(stems) - MAX_LISTED} more"] if len(stems) > MAX_LISTED else []
    return ", ".join([repr(stem) for stem in stems[:MAX_LISTED]] + more)


def _fix(first: tuple[str, list[str]], second: tuple[str, list[str]]) -> str:
    (_, names), (_, others) = first, second
    if {name.casefold() for name in names} == {name.casefold() for name in others}:
        return "Fix: rename them; upper and lower case differ"
    if suffixes := _suffixes(names, others):
        return f"Fix: write `suffixes: [{', '.join(suffixes)}]`"
    return f"Fix: add or remove the {'image' if len(names) + len(others) == 1 else 'images'}"


def _suffixes(names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """The suffixes without which all names are equal, as YAML; empty if there are none."""
    endings = [_shared_start([name[::-1] for name in side])[::-1] for side in (names, others)]
    shared = len(_shared_start(endings))
    endings = [ending[shared:] for ending in endings]
    stems = [
        {name.removesuffix(ending) for name in side} for side, ending in zip((names, others), endings, strict=True)
    ]
    return tuple(ending or '""' for ending in endings) if len(names) > 1 and stems[0] == stems[1] else ()


def _shared_start(texts: Sequence[str]) -> str:
    """The longest text with which all of them start."""
    first, last = min(texts, default=""), max(texts, default="")
    length = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[:length]
