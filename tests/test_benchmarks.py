"""The benchmarks run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.mark.usefixtures("registries")
def test_the_gpu_benchmark_counts_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda mode: None)
    gpu = importlib.import_module("gpu")
    alone = gpu.Alone(gpu.Settings(torch.device("cuda"), gpu="", rounds=1, chunk=6))
    alone.advance(4 * 6 + 1)
    warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
    alone.advance(5 * 6 - 1)
    assert alone.found["synchronizations"] == 1


@pytest.mark.soak
def test_the_gpu_benchmark_runs_on_a_cpu_with_small_sizes(tmp_path: Path) -> None:
    """Long because it compiles the toy GAN twice."""
    out = tmp_path / "gpu.json"
    small = ["--device", "cpu", "--small", "--rounds", "2", "--chunk", "2", "--workers", "0", "--only", "toy_gan"]
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *small, "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    report = json.loads(out.read_text())
    trainings = report["trainings"]
    assert not report["left_out"]
    assert trainings.keys() == {"toy_gan/eager", "toy_gan/compiled"}
    for found in trainings.values():
        assert found["throughput"] > 0
        assert found["artschool"]["kernels"] > 0
        assert found["artschool"]["save_seconds"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("name", ["distributed", "sharding"])
def test_the_benchmarks_of_several_processes_run(name: str) -> None:
    """Long because two processes import torch."""
    options = ["--rounds", "1", "--chunk", "1", "--width", "32"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command = [*launcher, str(ROOT / "benchmarks" / f"{name}.py"), *options]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    assert " of the loop with non_finite: " in output or " of the time with replicate " in output
