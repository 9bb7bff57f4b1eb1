"""Sound keeps its channels, its rate and its samples through a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from artschool.errors import DataError
from artschool.media.audio import read_recording, write_audio


@pytest.mark.parametrize("shape", [(100,), (1, 100), (2, 100)])
def test_what_is_written_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    samples = torch.rand(shape) * 2 - 1
    write_audio(tmp_path / "x.wav", samples, 22050)
    found = read_recording(tmp_path / "x.wav")
    assert found.rate == 22050
    torch.testing.assert_close(found.samples, samples.reshape(-1, 100), atol=1e-4, rtol=0)


def test_samples_outside_of_the_range_are_cut_off(tmp_path: Path) -> None:
    write_audio(tmp_path / "x.wav", torch.tensor([-3.0, 0.0, 2.0, float("nan")]), 8000)
    assert (read_recording(tmp_path / "x.wav").samples * 32768).tolist() == [[-32767, 0, 32767, 0]]


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.mp3: expected a \.wav file with samples \(T,\) or \(C, T\), got \(4,\)"):
        write_audio(tmp_path / "x.mp3", torch.zeros(4), 8000)
