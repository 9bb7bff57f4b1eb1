"""Hints about a name that is unknown: the names that are known, and the one that is probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from artschool.wording.spelling import closest
from artschool.wording.synonyms import Synonyms

MAX_LISTED = 32
"""The most names that a hint lists in full."""


def closest_name(name: str, known: Iterable[str], synonyms: Synonyms | None = None) -> str | None:
    """The known name to suggest: a synonym, or the closest in spelling. None if none is close."""
    known = list(known)
    return (synonyms.of(name, known) if synonyms is not None else None) or closest(name, known)


def nearest(name: str, known: Iterable[str], synonyms: Synonyms | None = None) -> str:
    """A sentence that names the closest known name: `Did you mean 'network'?`. Empty when none is close."""
    return did_you_mean(closest_name(name, known, synonyms))


def allowed(what: str, name: str, known: Iterable[str], synonyms: Synonyms | None = None) -> str:
    """The hint of a fault about an unknown name: the known names and the closest one.

    Of more than `MAX_LISTED`, only the eight that resemble the name most are listed.

    Args:
        what: What the list begins with, such as `Available networks`.
    """
    names = sorted(known)
    shown = names if len(names) <= MAX_LISTED else sorted(difflib.get_close_matches(name, names, n=8, cutoff=0.0))
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    listing = f"{what}: {', '.join(shown)}{more}." if names else f"{what}: none."
    return f"{listing} {nearest(name, names, synonyms)}".strip()


def did_you_mean(suggestion: str | None) -> str:
    """A sentence that suggests a name; empty for None."""
    return f"Did you mean {suggestion!r}?" if suggestion is not None else ""
