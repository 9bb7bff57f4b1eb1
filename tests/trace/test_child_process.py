"""A function in a process of its own: what it gives, what it raises, and what is left when it dies."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
import torch

from artschool.errors import ConfigError, ResourceError
from artschool.faults import Fault, Place
from artschool.trace.child_process import in_child_process, run_in_child_process
from tests.fresh import exit_code

KEPT: list[int] = []


def keep_in_child() -> None:
    def keep() -> int:
        KEPT.append(os.getpid())
        return KEPT[0]

    assert run_in_child_process(keep) != os.getpid()
    assert KEPT == []


def return_from_a_fork() -> None:
    def forks() -> str:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return "own" if child else "copy"

    assert run_in_child_process(forks) == "own"


def test_what_a_process_returns_that_it_has_forked_does_not_count() -> None:
    assert exit_code(return_from_a_fork) == 0


def test_what_it_returns_comes_and_what_it_keeps_stays_there() -> None:
    assert exit_code(keep_in_child) == 0


def test_an_error_of_ours_comes_with_its_faults_and_notes() -> None:
    fault = Fault(Place("a.yml", 3, 5), "steps.gen", "is wrong", "Mend it.")

    def fail() -> None:
        error = ConfigError([fault])
        error.add_note("a note")
        raise error

    with pytest.raises(ConfigError) as raised:
        run_in_child_process(fail)
    assert raised.value.faults == [fault]
    assert raised.value.__notes__ == ["a note"]


def kill_child() -> None:
    with pytest.raises(ResourceError, match="died with exit code -9; if memory ran out, start with --no-trace"):
        run_in_child_process(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_process_that_is_killed_is_told() -> None:
    assert exit_code(kill_child) == 0


def test_a_process_that_cannot_compute_gradients_is_replaced_by_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a torch for CUDA, once threads of a device have computed gradients in this process."""

    def fail(*args: object) -> None:
        raise RuntimeError("Unable to handle autograd's threading in combination with fork-based multiprocessing")

    monkeypatch.setattr(torch.Tensor, "backward", fail)
    assert run_in_child_process(os.getpid) == os.getpid()


def run_beside() -> None:
    with in_child_process(os.getpid) as result, in_child_process(signal.pause):
        assert result() != os.getpid()
    with pytest.raises(ZeroDivisionError), in_child_process(signal.pause):
        raise ZeroDivisionError  # And no process is left to wait for.
    assert multiprocessing.active_children() == []


def test_what_runs_beside_goes_on_meanwhile_and_ends_with_what_it_stands_beside() -> None:
    assert exit_code(run_beside) == 0
