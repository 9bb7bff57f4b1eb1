"""The errors that the package raises on purpose, each class with its exit code, and the texts of any errors."""

from __future__ import annotations

from collections.abc import Sequence

from artschool.faults import Fault, Place
from artschool.wording.hidden import printable

WITHOUT_TEXT = "(its text cannot be made)"
"""Stands for the text of an error whose code fails."""


class ArtschoolError(Exception):
    """Base class of all errors that the package raises on purpose.

    Attributes:
        exit_code: Exit code of a command that ends with this error.
    """

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(ArtschoolError):
    """The file, an override or a component is wrong.

    Attributes:
        faults: Every fault that was found, not only the first.
        warnings: What was found in the same file and may explain the faults.
    """

    exit_code = 2

    def __init__(self, faults: Sequence[Fault] | Fault | str) -> None:
        self.warnings: list[Fault] = []
        if isinstance(faults, str):
            faults = Fault(Place(""), "", faults)
        self.faults: list[Fault] = [faults] if isinstance(faults, Fault) else list(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[Fault]], dict[str, object]]:
        # Pickled with its faults; `__dict__` adds its warnings and notes.
        return type(self), (self.faults,), self.__dict__


class StateError(ArtschoolError):
    """A key is written twice, or read before it is written, which only the running program can detect."""

    exit_code = 2


class DataError(ArtschoolError):
    """The data set is missing, empty, too small or broken."""

    exit_code = 3


class NumericsError(ArtschoolError):
    """Losses or gradients are NaN or infinite, and the run cannot continue."""

    exit_code = 4


class ResourceError(ArtschoolError):
    """Disk, memory or another resource ran out, or an optional package is missing."""

    exit_code = 5


class CheckpointError(ArtschoolError):
    """A checkpoint is damaged, incomplete, or belongs to another run."""

    exit_code = 6


class Stopped(ArtschoolError):  # noqa: N818  # nothing went wrong
    """A signal stopped the run, which saved a checkpoint. `exit_code` is 130 after Ctrl-C and 143 after another one."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class EndedByOther(ArtschoolError):  # noqa: N818  # this process has done nothing wrong
    """Another process of the run has ended, which reports why. `exit_code` is that of the other one."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def text_of(error: BaseException) -> str:
    """The text of an exception, of which `__str__` may fail."""
    try:
        return str(error)
    except Exception:
        return WITHOUT_TEXT


def readable(error: BaseException) -> BaseException:
    """The error, or what to raise in place of one whose `__str__` fails."""
    if text_of(error) is not WITHOUT_TEXT:
        return error
    replacement = RuntimeError(f"{type(error).__name__} {WITHOUT_TEXT}")
    replacement.__cause__, replacement.__notes__ = error, list(getattr(error, "__notes__", []))
    return replacement


def describe(error: BaseException) -> str:
    """An error in one text. The class of one that the package does not raise on purpose comes first."""
    text, kind = str(error).strip(), type(error).__name__
    return text if text and isinstance(error, ArtschoolError) else f"{kind}: {text}" if text else kind


def first_line(error: BaseException) -> str:
    """The first line of the text of an error, or the name of its class where it has no text."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
