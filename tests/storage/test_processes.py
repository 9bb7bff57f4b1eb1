"""A child that ends with its parent, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from artschool.storage.processes import boot, start_of

PARENT = """
import os, signal, sys, time
from artschool.storage.processes import end_with_parent

parent = os.getpid()
child = os.fork()
if not child:
    if sys.argv[1] == "late":
        os.kill(parent, signal.SIGKILL)
        while os.getppid() == parent:
            time.sleep(0.001)
    print(os.getpid(), flush=True)
    end_with_parent(parent)
    print("is ready", flush=True)
signal.pause()
"""


FORKED = """
import os, sys
from artschool.storage.processes import ended_if_forked

def block():
    if not os.fork():
        {child}
    else:
        print(os.waitstatus_to_exitcode(os.wait()[1]))

try:
    with ended_if_forked(lambda: "the code of sample 3"):
        block()
finally:
    print("goes on", flush=True)
"""
ENDED = "the code of sample 3 has forked a copy of this process, which is ended. Fix: end it with os._exit, or start "


@pytest.mark.parametrize(
    ("child", "code", "says"),
    [
        ("pass", 1, f"{ENDED}a program with `subprocess`\n"),
        ("sys.exit(3)", 3, ""),
        ("sys.exit()", 0, ""),
        ("raise ValueError('odd')", 1, f"ValueError: odd\n{ENDED}a program with `subprocess`\n"),
    ],
)
def test_a_process_that_a_block_has_forked_ends_with_it(child: str, code: int, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED.format(child=child)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{code}\ngoes on\n")
    assert done.stderr.endswith(says) and bool(done.stderr) == bool(says)


def start(when: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PARENT, when], stdout=subprocess.PIPE, text=True)


def has_ended(process: int, limit_s: float = 10) -> bool:
    deadline = time.monotonic() + limit_s
    while start_of(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_child_ends_when_its_parent_is_killed() -> None:
    with start("soon") as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "is ready\n"
        assert start_of(child)
        parent.kill()
        assert has_ended(child)


def test_a_child_whose_parent_has_ended_before_ends_at_once() -> None:
    with start("late") as parent:
        parent.wait()
        assert parent.stdout is not None
        assert has_ended(int(parent.stdout.readline()))
        assert parent.stdout.read() == ""


def test_a_process_is_told_from_a_later_one_by_its_start() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as later:
        assert start_of(os.getpid()) == start_of(os.getpid()) != start_of(later.pid) != ""
        later.communicate(b"\n")
    assert start_of(os.getpid()).startswith(boot())
    assert len(boot()) == len(Path("/proc/sys/kernel/random/uuid").read_text().strip())
    assert start_of(2**31) == ""


def test_a_process_that_nobody_has_waited_for_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    try:
        assert has_ended(process.pid)
        os.kill(process.pid, signal.SIG_DFL)  # Its id still exists.
    finally:
        process.wait()
