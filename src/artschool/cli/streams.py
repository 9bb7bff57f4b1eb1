"""Output that cannot fail: where a training prints must not decide how it ends."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TextIO

from artschool.outputs import output_to


def open_streams() -> None:
    """Let /dev/null take the place of standard streams that were closed when the process started, as by `>&-`.

    Otherwise Python has none to print to, and the next file that is opened gets the number of one, so that a library
    might print into a checkpoint.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def harmless(stream: TextIO) -> TextIO:
    """A stream to the same file that raises no error of it and prints every character, if need be by its number.

    It has no buffer, since Python would fail to flush one at the end of the process. A stream without a file, and one
    that was closed when the process started, stay as they are.
    """
    try:
        stream.flush()
        raw = output_to(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return stream
    return TextIOWrapper(
        raw, encoding=stream.encoding, errors="backslashreplace", write_through=True
    )  # As `python -u` does.
