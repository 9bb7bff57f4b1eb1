"""The memory of a save and of a resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.forked import ROOT


def peaks(folder: Path) -> list[int]:
    """What `memory_of_checkpoints.py` writes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.memory_of_checkpoints", str(folder)],
        capture_output=True, text=True, timeout=100, check=False, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[int] = json.loads((folder / "peaks.json").read_text())
    return found


@pytest.mark.soak
def test_a_save_and_a_resume_need_no_memory_beyond_training(tmp_path: Path) -> None:
    """Less than 5 % of the state, of which most tensors are not contiguous, in the memory that the system counts."""
    trained = peaks(tmp_path)
    size = sum(file.stat().st_size for file in (tmp_path / "run" / "checkpoints" / "00000009").iterdir())
    assert size > 90e6
    # Iterations 6 and 9 are saved; what the first save imports is not counted.
    assert max(trained[6], trained[9]) - max(trained[4], trained[5]) < 0.05 * size
    resumed = peaks(tmp_path)
    assert resumed[0] - resumed[2] < 0.05 * size
