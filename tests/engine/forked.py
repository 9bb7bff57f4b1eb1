"""Groups of processes for tests: a script imports torch once, and forks the processes of each group."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_script(module: str, folder: Path, *arguments: str, timeout_s: float = 1800) -> None:
    """Run `python -m module folder arguments`."""
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder), *arguments],
        capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def in_processes(number: int, work: Callable[[int], None], timeout_s: float = 300) -> None:
    """Call `work(rank)` in forked processes that are started as `torchrun` starts them; one is started without it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launched = {"WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)} if number > 1 else {}
    children = [_fork(rank, launched, work) for rank in range(number)]
    deadline = time.monotonic() + timeout_s
    left = set(children)
    while left:
        pid, status = os.waitpid(-1, os.WNOHANG)
        left.discard(pid)
        if (pid and status) or time.monotonic() > deadline:
            for child in left:
                os.kill(child, signal.SIGKILL)
            raise SystemExit(f"a process of {number} failed" if status else f"{number} processes hang")
        time.sleep(0.0 if pid else 0.02)


def _fork(rank: int, launched: dict[str, str], work: Callable[[int], None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ |= {**launched, "RANK": str(rank), "LOCAL_RANK": str(rank)} if launched else {}
        work(rank)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # Without the teardown of the interpreter, in which a thread of gloo may abort.
