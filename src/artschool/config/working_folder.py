"""The folder to which the paths of a run are relative. The code of a component may change that of the process."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress


class WorkingFolder:
    """The working folder of this process when the object was made. One that is gone cannot be kept."""

    def __init__(self) -> None:
        self._path = _current()
        self._is_noted = False

    def keep(self, note: Callable[[str], object]) -> None:
        """Return to the folder if the process has left it. Fast, since it is called after every iteration.

        Args:
            note: Called with a warning if it has, once.
        """
        if (found := _current()) != self._path and self._path:
            with suppress(OSError):
                os.chdir(self._path)
                if not self._is_noted:
                    self._is_noted = True
                    note(
                        f"warning: the code of a component has changed the working folder to {found}. It is "
                        f"{self._path} again, to which the paths of the run are relative. Fix: use absolute paths in "
                        "this code"
                    )


def _current() -> str:
    with suppress(OSError):
        return os.getcwd()  # noqa: PTH109  # a Path would take longer
    return ""
