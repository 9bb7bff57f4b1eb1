"""A step that runs out of memory: an error that names the batch, or the same step in smaller parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from artschool.errors import ResourceError
from artschool.shortages import is_out_of_memory
from tests.engine.forked import ROOT, run_script
from tests.engine.memory_parts import AT, FAULTS, train

TRIED = "CUDA out of memory. Tried to allocate 2.00 GiB."
LATE = "steps.critic.injectors.late={type: memory_full, in: sr, out: fake, limit: LIMIT}"
IN_BACKWARD = "steps.critic.injectors.judged={type: memory_full, in: logits, out: _, limit: LIMIT, backward: true}"
IN_SECOND_PART = IN_BACKWARD.replace("true", "true, passing: 1")


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Whether two trainings have the same bits: weights, buffers, queue, optimizers and all that was logged."""
    for file, tensors in one["tensors"].items():
        for name, value in tensors.items():
            assert torch.equal(value, other["tensors"][file][name]), f"{file}/{name}"
    assert one["records"] == other["records"]


@pytest.mark.parametrize(("fault", "accumulate"), [(LATE, 1), (IN_BACKWARD, 1), (IN_SECOND_PART, 2)])
def test_a_redone_step_has_the_bits_of_one_that_began_split(tmp_path: Path, fault: str, accumulate: int) -> None:
    fault, parts = fault.replace("LIMIT", str(8 // accumulate - 1)), f"train.accumulate={accumulate}"
    redone, started = train(tmp_path / "redone", fault, parts), train(tmp_path / "started", parts, pieces=2)
    same(redone, started)
    assert redone["notes"] == [
        f"warning: steps.critic: out of memory at iteration {AT} ({TRIED}). The step is redone with 2 parts of each "
        "micro-batch, and so are the next ones"
    ]


def test_a_step_is_split_until_it_fits_and_gives_the_result_of_the_whole(tmp_path: Path) -> None:
    plain = ("networks.gen={type: toy_plain_generator}", "steps.critic.optimizer={type: sgd, lr: 1e-2}")
    fault = LATE.replace("LIMIT", "2")
    redone, whole = train(tmp_path / "redone", fault, *plain), train(tmp_path / "whole", *plain)
    assert [note.split("redone with ")[1][0] for note in redone["notes"]] == ["2", "4"]
    for file in ("gen", "critic", "state.optimizers"):
        for name, value in whole["tensors"][file].items():
            torch.testing.assert_close(redone["tensors"][file][name], value, rtol=0, atol=1e-6)


def test_a_resumed_run_splits_as_the_one_before(tmp_path: Path) -> None:
    fault = LATE.replace("LIMIT", "7")
    straight = train(tmp_path / "straight", fault)
    train(tmp_path / "resumed", fault, "train.iterations=4", "checkpoint.every=4")
    resumed = train(tmp_path / "resumed", fault)
    assert resumed["notes"] == []
    straight["records"] = straight["records"][4:]
    same(resumed, straight)


def test_without_a_split_the_error_names_the_batch(tmp_path: Path) -> None:
    fault = LATE.replace("LIMIT", "7")
    with pytest.raises(ResourceError) as caught:
        train(tmp_path, fault, "train.on_out_of_memory=stop", "data.train.shuffle=false")
    assert str(caught.value).replace(str(tmp_path), "") == (
        f"steps.critic: out of memory at iteration 2: {TRIED}\n"
        "    in /toy.yml:23:13: steps.critic.injectors.late\n"
        "    lq: (8, 3, 4, 4) float32 on cpu\n"
        "    hq: (8, 3, 8, 8) float32 on cpu\n"
        "    name: a list of 8, each str\n"
        "    samples of data.train: 16 name 'picture 16', 17 name 'picture 17', 18 name 'picture 18', "
        "19 name 'picture 19', 20 name 'picture 20', 21 name 'picture 21', 22 name 'picture 22', 23 name 'picture 23'\n"
        "    Fix: try `train.on_out_of_memory: split`, `train.accumulate: 2`, a smaller `batch_size`, "
        "`activation_checkpointing` of the networks, `train.precision: bf16`, or smaller networks or samples"
    )
    assert caught.value.exit_code == 5


def test_a_sample_that_does_not_fit_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"steps\.critic: .*\n.*tried in 8 parts, and cannot be split further\n"):
        train(tmp_path, LATE.replace("LIMIT", "0"))


def test_a_value_of_an_earlier_step_without_rows_of_samples_is_not_cut(tmp_path: Path) -> None:
    fault = LATE.replace("LIMIT", "7")
    turned = "steps.gen.injectors.turned={type: memory_turned, in: sr, out: turned}"
    read = "steps.critic.injectors.read={type: memory_full, in: turned, out: _}"
    with pytest.raises(
        ResourceError, match=r"key 'turned' of an earlier step cannot be cut .* got shape \(3, 8, 8, 8\)"
    ):
        train(tmp_path, fault, turned, read)


REAL = """
import resource, sys
from pathlib import Path
import torch
from artschool.registry import injectors
from tests.engine.memory_parts import train

@injectors.register("memory_hungry")
def hungry(x: torch.Tensor) -> torch.Tensor:
    \"\"\"x, for which 50 MB are needed per sample.\"\"\"
    return x + torch.zeros(len(x), 50 << 20, dtype=torch.uint8)[:, 0].sum()

train(Path(sys.argv[1], "first"))  # What torch keeps for itself.
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), resource.RLIM_INFINITY))
found = train(Path(sys.argv[1], "second"), "steps.critic.injectors.late={type: memory_hungry, in: sr, out: fake}")
print(*found["notes"])
"""


def test_the_memory_of_the_process_is_full(tmp_path: Path) -> None:
    """With 300 MB, 8 samples do not fit, and 4 do."""
    done = subprocess.run(
        [sys.executable, "-c", REAL, str(tmp_path)],
        capture_output=True, text=True, timeout=100, check=False, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "steps.critic: out of memory at iteration 0 ([enforce fail at alloc_cpu.cpp" in done.stdout
    assert "redone with 2 parts" in done.stdout


@pytest.mark.soak
def test_processes_split_together(tmp_path: Path) -> None:
    """Two processes, of which one runs out of memory; the other one is in a collective, or already at the end."""
    run_script("tests.engine.memory_parts", tmp_path)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for found in ranks:
        for fault in FAULTS:
            same(found[fault], found["start"])
    assert [found["early"]["notes"][0].split("(")[1].split(")")[0] for found in ranks] == ["in another process", TRIED]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (OSError(28, "No space left on device"), False),
        (RuntimeError("shape '[2]' is invalid for input of size 3"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_is_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_the_allocator_of_the_cpu_is_recognized() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55)
    assert is_out_of_memory(caught.value)
