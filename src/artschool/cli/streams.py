"""Output that cannot fail: where a training prints must not decide how it ends."""

from __future__ import annotations

from io import TextIOWrapper
from typing import TextIO

from artschool.outputs import output_to


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
