"""The memory of a save and of a resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.forked import ROOT


def peaks(folder: Path, *overrides: str) -> list[int]:
    """What `memory_of_checkpoints.py` writes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.memory_of_checkpoints", str(folder), *overrides],
        capture_output=True, text=True, timeout=100, check=False, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[int] = json.loads((folder / "peaks.json").read_text())
    return found


@pytest.mark.soak
@pytest.mark.parametrize("background", ["false", "true"])
def test_a_save_and_a_resume_need_no_memory_beyond_training(tmp_path: Path, background: str) -> None:
    """Less than 5 % of the state, of which most tensors are not contiguous, in the memory that the system counts."""
    trained = peaks(tmp_path, f"checkpoint.background={background}")
    size = sum(file.stat().st_size for file in (tmp_path / "run" / "checkpoints" / "00000009").iterdir())
    assert size > 90e6
    # Iterations 3, 6 and 9 are saved. What a save has freed may stay with the process, so those before them count.
    assert max(trained[3], trained[6], trained[9]) - max(trained[1], trained[2]) < 0.05 * size
    resumed = peaks(tmp_path)
    assert resumed[0] - resumed[2] < 0.05 * size
