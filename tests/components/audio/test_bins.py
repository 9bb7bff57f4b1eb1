"""Normalization of frequency bands."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from artschool.components.audio.bins import FrequencyBinNormalize
from artschool.errors import CheckpointError

SHIFT, SCALE = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])


def test_each_band_has_its_own_shift_and_scale_from_any_of_three_files(tmp_path: Path) -> None:
    torch.save((SHIFT.view(1, 2, 1), SCALE.view(1, 2, 1)), tmp_path / "pair.pth")
    torch.save({"scale": SCALE, "shift": SHIFT, "frames": torch.tensor(7)}, tmp_path / "named.pt")
    save_file({"shift": SHIFT, "scale": SCALE}, tmp_path / "named.safetensors")
    x = torch.tensor([[[1.0, 3.0], [2.0, 10.0]]])
    for file in ("pair.pth", "named.pt", "named.safetensors"):
        assert FrequencyBinNormalize(stats=tmp_path / file)(x).tolist() == [[[0.0, 1.0], [0.0, 2.0]]]


def test_a_file_that_holds_something_else_is_told(tmp_path: Path) -> None:
    file = tmp_path / "stats.pth"
    torch.save(SHIFT, file)
    with pytest.raises(CheckpointError, match=r"should hold shift and scale, a tensor each, and nothing else$"):
        FrequencyBinNormalize(stats=file)
    torch.save((SHIFT, torch.ones(3)), file)
    with pytest.raises(CheckpointError, match=r"has numbers for 2, 3 bands; needed are as many in each$"):
        FrequencyBinNormalize(stats=file)
