"""Tensors of a mapped file, and the memory that they take."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from artschool.storage.mapped import map_tensors, release


def resident() -> int:
    """Bytes of files that are in the memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile")) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_small_tensors_that_were_released_take_no_memory(tmp_path: Path) -> None:
    tensors = {f"{number:04}": torch.full((7001,), float(number)) for number in range(1000)}
    save_file(tensors, tmp_path / "small.safetensors")
    mapped = map_tensors(tmp_path / "small.safetensors")
    before = resident()
    for name, tensor in mapped.items():
        assert torch.equal(tensor, tensors[name])
        release(tensor)
        assert resident() - before < 0.05 * 28e6
    assert torch.equal(mapped["0500"], tensors["0500"])  # It is read again.
