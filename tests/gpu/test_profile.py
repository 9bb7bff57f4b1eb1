"""`artschool profile` on a CUDA device."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.profiling.profile import profile
from artschool.read.read import check_file
from tests.engine import toy_run
from tests.gpu.marks import ON_CUDA

pytestmark = [*ON_CUDA, pytest.mark.usefixtures("registries")]


def test_the_device_times_the_parts(tmp_path: Path) -> None:
    overrides = ("train.device=cuda", "train.start_iteration=6")
    found = profile(check_file(toy_run.write(tmp_path, *overrides)), iterations=3, trace=tmp_path / "trace.json")
    assert found.machine.kind == "cuda"
    assert 0 < found.root.seconds <= 1.05 * sum(found.durations)
    assert all(part.own_seconds >= 0 for part in found.root.all())
    assert {"networks.gen", "networks.critic", "backward", "copy to the device"} <= {p.name for p in found.root.all()}
    assert found.root.peak >= sum(p.nbytes for p in toy_run.run_generator().parameters())
    assert found.utilization is not None
    assert 0 < found.utilization < 1
    assert (tmp_path / "trace.json").stat().st_size
