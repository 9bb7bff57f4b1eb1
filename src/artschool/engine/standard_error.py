"""What a thread writes to standard error although nobody may read it: a frozen terminal or a full pipe."""

from __future__ import annotations

import faulthandler
import os
import sys
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from artschool.outputs import output_to
from artschool.wording.hidden import without_hidden

_FILE = 2


def write_stacks() -> None:
    """Write where each thread is. `faulthandler` itself would stop all threads where nobody reads."""
    with suppress(OSError), _memory() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        write(file.read().decode(errors="replace"))


def write(text: str) -> None:
    """Write a text. Needs no lock of `sys.stderr`, which another thread may hold."""
    with suppress(OSError), output_to(_FILE) as file:
        file.write(without_hidden(text).encode(errors="backslashreplace"))


def _memory() -> IO[bytes]:
    """A file that needs no disk, where the system has one."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("stacks"), "w+b")
    return TemporaryFile()
