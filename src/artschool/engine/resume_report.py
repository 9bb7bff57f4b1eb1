"""What a resume keeps, starts from scratch and drops, as lines for the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ResumeReport:
    """Compares a checkpoint with the run that resumes from it. A part is named by its kind and owner."""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self._remarks: list[str] = []
        self._kept: list[str] = []
        self._new: list[str] = []
        self._dropped: list[str] = []

    def remark(self, line: str) -> None:
        """Something about the checkpoint that the user should know."""
        self._remarks.append(line)

    def keep(self, part: str) -> None:
        """The run continues with this part of the checkpoint."""
        self._kept.append(part)

    def start(self, part: str, how: str) -> None:
        """The run needs a part that the checkpoint does not have, or that does not fit."""
        self._new.append(f"{part}: {how}")

    def drop(self, part: str) -> None:
        """The checkpoint has a part that the run does not need."""
        self._dropped.append(part)

    def lines(self) -> list[str]:
        """A line for each change. What is kept is only mentioned if something is not."""
        lines = [*self._remarks, *(f"changed since the checkpoint: {line}" for line in self.changed)]
        if self._new or self._dropped:
            lines += [f"kept: {', '.join(self._kept) or 'nothing'}"]
        return [*lines, *(f"new: {line}" for line in self._new), *(f"dropped: {line}" for line in self._dropped)]


def value_at(config: Any, *path: str) -> Any:
    """The value at a path of a plain config. None: there is none."""
    for key in path:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config
