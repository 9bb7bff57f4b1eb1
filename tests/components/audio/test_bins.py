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
    for content, found in (
        (SHIFT, "a Tensor"),
        ([SHIFT], "a list of 1"),
        ({"shift": SHIFT}, "a mapping with the keys shift"),
        ({}, "an empty mapping"),
    ):
        torch.save(content, file)
        said = rf"stats\.pth: expected the tensors shift and scale and nothing else, got {found}\. Fix: save "
        with pytest.raises(CheckpointError, match=said):
            FrequencyBinNormalize(stats=file)
    torch.save((SHIFT, torch.ones(3)), file)
    with pytest.raises(CheckpointError, match=r"expected the same number of bands in each tensor, got 2 and 3\. Fix: "):
        FrequencyBinNormalize(stats=file)
