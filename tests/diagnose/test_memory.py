"""The memory that the control groups of a container or a job leave to its processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.diagnose import memory
from artschool.diagnose.machine import devices
from artschool.diagnose.memory import Memory, available_memory

MB = 1 << 20


def group(folder: Path, files: dict[str, str], stat: str) -> None:
    folder.mkdir(parents=True)
    for name, text in {**files, "memory.stat": f"anon 5\n{stat}\n"}.items():
        (folder / name).write_text(f"{text}\n")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")
    return tmp_path / "groups"


def test_a_limit_above_the_own_group_counts(groups: Path, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("0::/user.slice/job_7/step_0\n")
    job = {"memory.max": str(300 * MB), "memory.current": str(250 * MB)}
    group(groups / "user.slice/job_7", job, f"inactive_file {30 * MB}")
    group(groups / "user.slice/job_7/step_0", {"memory.max": "max", "memory.current": "9"}, "inactive_file 0")
    assert available_memory() == Memory(80 * MB, 300 * MB)
    (cpu, *_) = devices()
    assert cpu.text.endswith(", 83.9 MB of memory available of the 315 MB that the container or job may take")


def test_a_container_sees_its_group_as_the_uppermost_one(groups: Path, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("12:cpu,cpuacct:/docker/0a1b\n9:memory:/docker/0a1b\n0::/docker/0a1b\n")
    files = {"memory.limit_in_bytes": str(100 * MB), "memory.usage_in_bytes": str(130 * MB)}
    group(groups / "memory", files, f"inactive_file 0\ntotal_inactive_file {10 * MB}")
    assert available_memory() == Memory(0, 100 * MB)


@pytest.mark.parametrize("own", ["0::/\n", "9:memory:/\n", ""])
def test_without_a_limit_it_is_that_of_the_machine(groups: Path, tmp_path: Path, own: str) -> None:
    (tmp_path / "own").write_text(own)
    group(groups, {"memory.max": "max", "memory.current": "9"}, "inactive_file 0")
    files = {"memory.limit_in_bytes": str((1 << 63) - 4096), "memory.usage_in_bytes": "9"}
    group(groups / "memory", files, "total_inactive_file 0")
    found = available_memory()
    assert found is not None and found.limit is None and found.available > 0
