"""Samples out of range, missing or not finite, and hidden files beside recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from artschool.components.audio.audio_folder import AudioFolder
from artschool.components.audio.text_audio import TextAudio
from artschool.errors import DataError
from artschool.media.audio import read_audio

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(800) / 8000)).astype(np.float32)


def write(file: Path, samples: np.ndarray, subtype: str = "FLOAT") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples, 8000, subtype=subtype)
    return file


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (
            TONE * 30000,
            r"expected samples in -1\.\.1, got -9000\.\.9000\. Fix: divide them by 32768, or remove the file",
        ),
        (TONE * 3e9, r"expected samples in -1\.\.1, got -9e\+08\.\.9e\+08\. Fix: scale them, or remove the file"),
        (np.where(np.arange(800) == 7, -2.5, TONE), r"expected samples in -1\.\.1, got -2\.5\.\.0\.3\. Fix: divide "),
        (
            np.where(np.arange(800) == 7, np.nan, TONE),
            r"expected finite samples, got NaN or infinity\. Fix: replace the ",
        ),
        (np.where(np.arange(800) == 7, -np.inf, TONE), r"expected finite samples, got NaN or infinity\. Fix: replace "),
        (TONE[:0], r"expected audio, got no samples\. Fix: replace the file or remove it"),
    ],
)
def test_samples_that_are_not_audio_are_named_with_their_file(tmp_path: Path, samples: np.ndarray, said: str) -> None:
    write(tmp_path / "loud.wav", samples)
    with pytest.raises(DataError, match=rf"^{tmp_path}/loud\.wav: {said}"):
        AudioFolder(path=tmp_path, sample_rate=8000, length=100)[0]
    (tmp_path / "list.txt").write_text("loud.wav|a\n")
    with pytest.raises(DataError, match=said):
        TextAudio(path=tmp_path / "list.txt", sample_rate=8000, alphabet="a")[0]


def test_one_loud_channel_is_enough(tmp_path: Path) -> None:
    write(tmp_path / "x.wav", np.stack([3.0 + 0 * TONE, -3.0 + 0 * TONE], 1))  # Their mean is 0.
    with pytest.raises(DataError, match=r"got -3\.\.3"):
        read_audio(tmp_path / "x.wav", 8000)


@pytest.mark.parametrize("peak", [1.0, 1.4, 2.0])
def test_what_mastering_and_codecs_overshoot_is_kept(tmp_path: Path, peak: float) -> None:
    file = write(tmp_path / "x.wav", np.array([0, peak, -peak], np.float32))
    torch.testing.assert_close(read_audio(file, 8000), torch.tensor([0, peak, -peak]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "DOUBLE"])
def test_whole_numbers_are_divided_by_their_range(tmp_path: Path, subtype: str) -> None:
    found = read_audio(write(tmp_path / "x.wav", TONE, subtype), 8000)
    torch.testing.assert_close(found, torch.from_numpy(TONE), rtol=0, atol=0.01)


def test_hidden_files_are_passed_over_links_followed_and_other_formats_reported(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "b.WAV", TONE)
    write(tmp_path / "wavs" / "a.wav", TONE)
    (tmp_path / "wavs" / "more").symlink_to("../elsewhere")
    (tmp_path / "wavs" / "gone").symlink_to("../nowhere")
    for name in ("._a.wav", ".DS_Store", "Thumbs.db"):
        (tmp_path / "wavs" / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / "wavs" / "c.m4a").write_bytes(b"")
    data = AudioFolder(path=tmp_path / "wavs", sample_rate=8000)
    assert [data[index]["name"] for index in range(len(data))] == ["a.wav", "b.WAV"]
    assert data.remarks == [
        f"{tmp_path}/wavs/gone is a broken link to ../nowhere",
        f"{tmp_path}/wavs: passed over 1 file: 1 .m4a (supported: .wav, .flac, .ogg, .mp3)",
    ]


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.wav").symlink_to("nowhere.wav")
    with pytest.raises(
        DataError, match=r"x\.wav: expected WAV, .*, got: a broken link to nowhere\.wav\. Fix: replace "
    ):
        AudioFolder(path=tmp_path, sample_rate=8000, length=10)[0]


def test_what_is_found_instead_of_recordings_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.M4A").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"^audio_folder: no recordings in .* \(expected .*, got 1 file: 1 \.m4a\)\. Fix"
    ):
        AudioFolder(path=tmp_path, sample_rate=8000)
