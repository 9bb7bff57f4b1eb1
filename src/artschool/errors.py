"""Every error the package raises on purpose, and a fault: something wrong at a place in a file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from artschool.wording.spelling import closest
from artschool.wording.synonyms import Synonyms


class ArtschoolError(Exception):
    """Root of all errors raised on purpose. Its text is for the user; `exit_code` is what the command returns."""

    exit_code = 1


class ConfigError(ArtschoolError):
    """The file, an override or a component is wrong. Carries every fault that was found, not only the first."""

    exit_code = 2

    def __init__(self, faults: Sequence[Fault] | Fault | str) -> None:
        if isinstance(faults, str):
            faults = Fault(Place(""), "", faults)
        self.faults: list[Fault] = [faults] if isinstance(faults, Fault) else list(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[Fault]], dict[str, object]]:
        # From one process to another with its faults, and the notes that it got.
        return type(self), (self.faults,), self.__dict__


class StateError(ArtschoolError):
    """A key is written twice or read before it exists, where only the running program could tell."""

    exit_code = 2


class DataError(ArtschoolError):
    """The data set is missing, empty, too small or broken."""

    exit_code = 3


class NumericsError(ArtschoolError):
    """Numbers exploded and the file asks to stop."""

    exit_code = 4


class ResourceError(ArtschoolError):
    """Disk, memory or another resource ran out, or an optional package is missing."""

    exit_code = 5


class CheckpointError(ArtschoolError):
    """A checkpoint is damaged, incomplete, or belongs to another run."""

    exit_code = 6


class Stopped(ArtschoolError):  # noqa: N818  # nothing went wrong
    """The run was told to stop and has saved. `exit_code` is 143 after SIGTERM and 130 after Ctrl-C."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Place:
    """Where something is written: a file with line and column counted from 1, or an override on the command line."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: its place, its path in the file (`steps.gen.losses.pixel`), what, and the way out.

    Attributes:
        cause: What is alike in faults that one mistake makes at several places; "" for a cause of its own.
    """

    place: Place
    path: str
    message: str
    hint: str = ""
    cause: str = field(default="", compare=False)

    def __str__(self) -> str:
        head = ": ".join(part for part in (str(self.place), self.path, self.message) if part)
        return head + "".join(f"\n    {line}" for line in self.hint.splitlines())


MOST_NAMES = 32
"""So many names are listed whole."""


def nearest(name: str, known: Iterable[str], synonyms: Synonyms | None = None) -> str:
    """A sentence that names the closest known name, or nothing when none is close: `Did you mean 'network'?`."""
    known = list(known)
    match = (synonyms.of(name, known) if synonyms is not None else None) or closest(name, known)
    return f"Did you mean {match!r}?" if match is not None else ""


def nearest_file(path: Path) -> str:
    """A sentence that names the closest file of the same kind in the folder of one that does not exist, or nothing."""
    siblings = path.parent.glob(f"*{path.suffix}") if path.parent.is_dir() else ()
    return nearest(path.name, sorted(each.name for each in siblings))


def allowed(what: str, name: str, known: Iterable[str], synonyms: Synonyms | None = None) -> str:
    """The hint of a fault about an unknown name: what there is, of very many the most alike, and the nearest of it."""
    names = sorted(known)
    shown = names if len(names) <= MOST_NAMES else sorted(difflib.get_close_matches(name, names, n=8, cutoff=0.0))
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    listing = f"{what}: {', '.join(shown)}{more}." if names else f"{what}: none."
    return f"{listing} {nearest(name, names, synonyms)}".strip()
