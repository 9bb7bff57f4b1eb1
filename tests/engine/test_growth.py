"""A long run takes no more of the machine at its end than after a while."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from artschool.engine.run_state import RunState
from tests.engine.toy_run import Recorder, load

EARLY, LATE = 100, 400


class Taken(Recorder):
    """Keeps memory, open files and threads of this process after some iterations."""

    def __init__(self) -> None:
        super().__init__()
        self.after: dict[int, tuple[int, int, int]] = {}

    def advance(self, run: RunState) -> None:
        """Look."""
        if run.iteration in (EARLY, LATE):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            files = len(list(Path("/proc/self/fd").iterdir()))
            self.after[run.iteration] = pages, files, threading.active_count()


@pytest.mark.soak
def test_a_long_run_does_not_grow(tmp_path: Path) -> None:
    """In `make soak`: 400 iterations with 80 checkpoints, 40 evaluations and a worker."""
    run = load(tmp_path, f"train.iterations={LATE + 1}", "data.train.workers=1")
    taken = Taken()
    run.loggers = [*run.loggers, taken]
    run.train()
    (pages, *rest), (pages_later, *rest_later) = taken.after[EARLY], taken.after[LATE]
    assert rest_later == rest
    assert pages_later < 1.02 * pages
