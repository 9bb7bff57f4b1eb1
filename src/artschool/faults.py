"""Faults: mistakes in a file, each with its location, what is wrong, and how to fix it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from artschool.paths import is_dir, is_file
from artschool.wording.names import MAX_LISTED, allowed, closest_name, did_you_mean, nearest
from artschool.wording.synonyms import Synonyms


@dataclass(frozen=True)
class Place:
    """A location: a file with line and column, both counted from 1, or an override on the command line."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


class FaultKind(enum.Enum):
    """What sort of mistake a fault reports. Code that treats some faults differently reads this, never the text."""

    OTHER = enum.auto()
    BATCH_TOO_SMALL = enum.auto()
    """A component fails because a batch, or a part of one, has too few samples."""
    CIRCULAR_REFERENCE = enum.auto()
    DUPLICATE_KEY = enum.auto()
    """A mapping of the file has the same key twice."""
    INVALID_NAME = enum.auto()
    MISPLACED_OPTION = enum.auto()
    """An option is written one level above the entry that takes it."""
    MISSING_FILE = enum.auto()
    MISSING_OPTION = enum.auto()
    REWRITTEN_KEY = enum.auto()
    """Two components write the same key."""
    UNKNOWN_COMPONENT = enum.auto()
    UNKNOWN_NAME = enum.auto()
    UNKNOWN_OPTION = enum.auto()
    UNWRITTEN_KEY = enum.auto()
    """A key is read that no earlier component writes."""
    WRONG_VALUE = enum.auto()


@dataclass(frozen=True)
class Fault:
    """One mistake in a file: its location, what is wrong, and how to fix it.

    `Fault(place, path, message, hint)` suffices for a fault that is only printed. The constructors below also keep the
    parts of which they make message and hint, for code that decides by them.

    Attributes:
        place: File, line and column.
        path: Path in the file, such as `steps.gen.losses.pixel`; "" for the file as a whole.
        message: What is wrong.
        hint: What is allowed and a suggested fix, in one line or more; "" for none.
        cause: Faults with the same cause are reported once, with all their locations. "": reported separately.
        kind: The sort of mistake.
        found: The wrong value, name or key, as the message shows it.
        expected: What is allowed instead, in words; of a missing option, the names of which one is required.
        known: The names that are allowed, sorted.
        suggestion: The known name to suggest; None if none is close.
    """

    place: Place
    path: str
    message: str
    hint: str = ""
    cause: str = field(default="", compare=False)
    kind: FaultKind = field(default=FaultKind.OTHER, compare=False)
    found: str = field(default="", compare=False)
    expected: tuple[str, ...] = field(default=(), compare=False)
    known: tuple[str, ...] = field(default=(), compare=False)
    suggestion: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        head = ": ".join(part for part in (str(self.place), self.path, self.message) if part)
        return head + "".join(f"\n    {line}" for line in self.hint.splitlines())

    @classmethod
    def missing_option(cls, place: Place, path: str, *names: str, hint: str = "") -> Fault:
        """A mapping lacks an option. Of several `names`, any one is enough."""
        message = f"missing option {' or '.join(map(repr, names))}"
        return cls(place, path, message, hint, kind=FaultKind.MISSING_OPTION, expected=names)

    @classmethod
    def misplaced_option(cls, place: Place, path: str, *, owner: str, example: str) -> Fault:
        """An option is written one level above the entry that takes it.

        Args:
            owner: Path of the mapping whose entries take the option.
            example: A path at which the option is allowed.
        """
        message = f"misplaced option: it belongs in an entry of `{owner}`, such as {example}"
        return cls(place, path, message, kind=FaultKind.MISPLACED_OPTION, expected=(example,))

    @classmethod
    def unknown_option(
        cls, place: Place, path: str, name: str, known: Iterable[str], *, owner: str, synonyms: Synonyms, home: str = ""
    ) -> Fault:
        """A mapping has an option that its owner does not take.

        Args:
            known: The options that the owner takes.
            owner: The name of a component, a path, or `A file`.
            home: A sentence on where the option belongs, for one that resembles no known option.
        """
        known = sorted(known)
        suggestion = closest_name(name, known, synonyms)
        hint = allowed(f"{owner} takes", name, known, synonyms) if known else ""
        hint = f"{hint} {home}".strip() if suggestion is None else hint
        kind = FaultKind.UNKNOWN_OPTION
        return cls(place, path, "unknown option", hint, "", kind, name, (), tuple(known), suggestion)

    @classmethod
    def unknown_name(
        cls,
        place: Place,
        path: str,
        message: str,
        name: str,
        known: Iterable[str],
        *,
        listed_as: str = "",
    ) -> Fault:
        """A name refers to nothing: to no network, step, data set or number.

        Args:
            known: The names that exist.
            listed_as: What the hint calls the known names, such as `Available networks`; "": they are not listed.
        """
        known, kind = sorted(known), FaultKind.UNKNOWN_NAME
        hint = allowed(listed_as, name, known) if listed_as else nearest(name, known)
        return cls(place, path, message, hint, "", kind, name, (), tuple(known), closest_name(name, known))

    @classmethod
    def wrong_value(
        cls,
        place: Place,
        path: str,
        expected: Iterable[str],
        found: str,
        *,
        name: str = "",
        known: Iterable[str] = (),
        fix: str = "",
    ) -> Fault:
        """An option has a value of the wrong type or outside its range.

        Args:
            expected: Descriptions of what is allowed, such as `a number` or `0 or more`.
            found: Description of the value, such as `text 'abc'`.
            name: The value itself, where it is text.
            known: The words that are allowed.
            fix: What to write instead; without one, the known word that is closest.
        """
        expected, known, kind = tuple(expected), list(known), FaultKind.WRONG_VALUE
        suggestion = closest_name(name, known) if name else None
        hint = fix or did_you_mean(suggestion)
        if name and len(known) > MAX_LISTED:
            expected, hint = (f"one of {len(known)} names",), allowed("Available names", name, known)
        message = f"expected {' or '.join(expected)}, got {found}"
        return cls(place, path, message, hint, "", kind, found, expected, tuple(sorted(known)), suggestion)

    @classmethod
    def duplicate_key(cls, place: Place, key: str, first: Place) -> Fault:
        """A mapping has a key twice, first at `first`."""
        message = f"duplicate key {key!r}, first defined at {first}"
        return cls(place, "", message, kind=FaultKind.DUPLICATE_KEY, found=key)

    @classmethod
    def missing_file(cls, place: Place, path: str, file: Path) -> Fault | None:
        """A file that is named at a place does not exist, or lies in a folder that is closed to this user. None: it is
        there."""
        kind = FaultKind.MISSING_FILE
        try:
            if is_file(file):
                return None
        except PermissionError as error:
            return cls(place, path, f"file {file} cannot be read: {error.strerror}", kind=kind, found=str(file))
        suggestion = closest_name(file.name, _siblings(file))
        hint = did_you_mean(suggestion) or ("A path is relative to the file that contains it." if place.line else "")
        return cls(place, path, f"file {file} does not exist", hint, kind=kind, found=str(file), suggestion=suggestion)

    @classmethod
    def circular_reference(cls, place: Place, path: str, chain: Iterable[str], what: str = "") -> Fault:
        """A chain of references leads back to its start. `what` is the reference, where the path does not name it."""
        message = f"{what} is a circular reference" if what else "circular reference"
        message = f"{message}: {' -> '.join(chain)}"
        return cls(place, path, message, kind=FaultKind.CIRCULAR_REFERENCE, found=what)


def _siblings(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob(f"*{path.suffix}")) if is_dir(path.parent) else []
