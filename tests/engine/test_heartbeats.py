"""Which processes do not respond, and which of them are only busy."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest

from artschool.engine.heartbeats import BUSY_S, SILENT_S, Heartbeats
from artschool.storage.processes import start_of


def silent_for(seconds: int, identity: str) -> Heartbeats:
    """Heartbeats of rank 0, which has heard nothing of rank 1 for some seconds."""
    store: Any = None
    found = Heartbeats(store, lambda: "computes (iteration 3)", seconds=100 + seconds, exchanged=100 + seconds)
    found.records[1] = f"100 {identity} computes (iteration 3)", 100
    return found


def test_a_silent_process_that_runs_on_this_machine_has_more_time() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        identity = f"{other.pid}/{start_of(other.pid)}"
        assert not silent_for(SILENT_S - 1, identity).is_silent(1)
        assert silent_for(SILENT_S, identity).culprits == ["rank 1 does not respond"]
        assert not silent_for(SILENT_S, identity).is_gone(1)
        assert not silent_for(BUSY_S - 1, identity).is_gone(1)
        assert silent_for(BUSY_S, identity).is_gone(1)
        assert silent_for(SILENT_S, f"{other.pid}/another start").is_gone(1)
        other.send_signal(signal.SIGSTOP)
        while not silent_for(SILENT_S, identity).is_gone(1):  # It stops at its next turn.
            pass
        other.send_signal(signal.SIGCONT)
        other.communicate(b"\n")
    assert silent_for(SILENT_S, identity).is_gone(1)
    assert not silent_for(SILENT_S - 1, identity).is_gone(1)


@pytest.mark.parametrize("identity", ["17/", "17/another-machine/4711"])
def test_a_silent_process_of_another_machine_is_gone(identity: str) -> None:
    assert silent_for(SILENT_S, identity).is_gone(1)
    assert silent_for(SILENT_S - 1, identity).culprits == ["rank 1 computes (iteration 3)"]


def test_a_process_that_has_written_nothing_is_gone_after_a_while() -> None:
    found = silent_for(0, "")
    found.records.clear()
    assert found.is_gone(1)
    found.seconds = SILENT_S - 1
    assert not found.is_gone(1)
