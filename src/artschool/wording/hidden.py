"""Values that are never shown: those of environment variables in a file, and those whose key looks like a secret.

Where a file is shown, its nodes hide them. This is for text that contains them for another reason, such as the error of
a component that got one as a path.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

SECRET = re.compile(
    r"token|(.*[_-])?(api[_-]?key|password|passwd|passphrase|secret|credentials?|(access|private|secret)[_-]?key"
    r"|(access|api|auth|bearer|hf|refresh)[_-]?token)",
    re.IGNORECASE,
)
STARS = "***"
"""What files of a run have in place of a secret."""
SHORTEST = 6
"""Shorter values are not hidden in text, where they may mean anything."""
_hidden: dict[str, str] = {}


def is_secret(key: str, value: object) -> bool:
    """Whether a value looks like a secret by its key. A short `token` is a word, such as the name of a key."""
    return isinstance(value, str) and bool(SECRET.fullmatch(key)) and (key.lower() != "token" or len(value) >= 8)


def hide(value: str, shown_as: str) -> None:
    """From now on, `without_hidden` replaces a value."""
    if len(value) >= SHORTEST:
        _hidden[value] = _hidden[repr(value)[1:-1]] = shown_as


def without_hidden(text: str) -> str:
    """A text without the values that are hidden."""
    for value in sorted(_hidden, key=len, reverse=True):
        text = text.replace(value, _hidden[value])
    return text


def printable(text: str) -> str:
    """A text in which nothing controls a terminal: it may come from a stranger's checkpoint. Without what is hidden."""
    return without_hidden(text).replace("\x1b", "\\x1b").replace("\x9b", "\\x9b")


def without_environment(text: str) -> str:
    """A text for a file, also without values of the environment that no file has named. Paths stay."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and os.sep not in value:
            text = text.replace(value, f"${{env:{name}}}")
    return without_hidden(text)


class _Stream:
    """A stream that hides values. The code of a component may have closed it, which must not end what prints."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        if not self._is_closed():
            self._stream.write(without_hidden(text))
        return len(text)

    def flush(self) -> None:
        """Flush."""
        if not self._is_closed():
            self._stream.flush()

    def _is_closed(self) -> bool:
        return bool(getattr(self._stream, "closed", False))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def hidden_in_output() -> Iterator[None]:
    """Hide values in what this process and its children print, and in the traceback that may end it."""
    before, own = (sys.stdout, sys.stderr), (_Stream(sys.stdout), _Stream(sys.stderr))
    sys.stdout, sys.stderr = own
    sys.excepthook = _print_error
    try:
        yield
    finally:
        if (sys.stdout, sys.stderr) == own:
            sys.stdout, sys.stderr = before


def _print_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not _hidden:
        sys.__excepthook__(kind, error, trace)
    elif sys.stderr is not None:
        sys.stderr.write(without_hidden("".join(traceback.format_exception(kind, error, trace))))
