"""Data sets that hang."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from artschool.registry import datasets
from tests.engine.toy_run import Pair, Pairs

PLUGINS = f"plugins=[{Path(__file__).resolve()}]"
"""The override with which a file finds these parts, and those of the toy run, which the import registers."""


@datasets.register("hanging_pairs")
class HangingPairs(Pairs):
    """Pairs of which number `at` never comes, on one rank.

    Args:
        seconds: How long each sample takes.
        leaves: Whether the constructor ends the process.
        stubborn: Whether no exception ends the wait, like that of a library in C.
    """

    def __init__(
        self,
        length: int = 8,
        at: int | None = None,
        rank: int = 0,
        seconds: float = 0.0,
        leaves: bool = False,
        stubborn: bool = False,
    ) -> None:
        super().__init__(length)
        if leaves:
            sys.exit(3)
        self._at = at if int(os.environ.get("RANK", "0")) == rank else None
        self._seconds, self._stubborn = seconds, stubborn

    def __getitem__(self, index: int) -> Pair:
        while index == self._at:
            try:
                time.sleep(600)
            except BaseException:
                if not self._stubborn:
                    raise
        time.sleep(self._seconds)
        return super().__getitem__(index)
