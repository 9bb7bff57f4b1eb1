"""torchrun starts the processes again after one was killed: the new ones find each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.test_ranks import PLUGIN_FOLDERS

MEET = """
import os, signal, time, torch
from artschool import ranks

first, rank = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0", ranks.rank()
if not first and rank == 1:
    time.sleep(10)  # Meanwhile, rank 0 looks for rank 1 in the store, which has the address of the killed process.
ranks.start(torch.device("cpu"))
ranks.wait()
if first and rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60 if first else 0)
os.write(1, f"rank {rank} has met {ranks.gather(rank)}\\n".encode())  # `print` would write the end of the line later.
ranks.stop()
"""


@pytest.mark.soak
def test_processes_that_torchrun_starts_again_do_not_look_for_those_before(tmp_path: Path) -> None:
    """Soak: four processes import torch."""
    (tmp_path / "meet.py").write_text(MEET)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    done = subprocess.run(
        [*command, str(tmp_path / "meet.py")], capture_output=True, text=True, timeout=180, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PLUGIN_FOLDERS},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["rank 0 has met [0, 1]", "rank 1 has met [0, 1]"]
