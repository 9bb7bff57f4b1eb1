"""A folder of your own recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from artschool.components.audio.audio_files import SUFFIXES, fit, num_samples, read_audio
from artschool.components.audio.transcripts import missing
from artschool.errors import DataError
from artschool.registry import datasets
from artschool.registry.signature import Count


class Recording(TypedDict):
    """`audio` (1, T), float32 in -1..1, of which `audio_lengths` samples are no padding, and the file's `name`."""

    audio: Tensor
    audio_lengths: int
    name: str


@datasets.register
class AudioFolder:
    """Every recording below a folder, in the order of their names: mono, at one sample rate, at one length.

    Args:
        path: The folder; WAV, FLAC, Ogg and MP3 files anywhere below it.
        sample_rate: Samples a second; files of another rate are resampled.
        length: Samples of a random stretch of each file; shorter files are padded with silence at their end. Without
            it whole files, all padded to the longest.
        made_by: A command that makes the folder, told where it is missing.

    Raises:
        DataError: There is no such folder, or no recording in it.
        ResourceError: soundfile or soxr is not installed.
    """

    def __init__(
        self, *, path: Path, sample_rate: Count, length: Count | None = None, made_by: str | None = None
    ) -> None:
        if not path.is_dir():
            raise DataError("audio_folder: " + missing(f"folder {path}", made_by))
        self._files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not self._files:
            raise DataError(f"audio_folder: no recording in {path}; looked for {', '.join(SUFFIXES)}")
        self._rate, self._crops = sample_rate, length is not None
        self._length = length or max(num_samples(file, sample_rate) for file in self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Recording:
        file = self._files[index]
        audio = read_audio(file, self._rate)
        if self._crops and len(audio) > self._length:
            start = int(torch.randint(len(audio) - self._length + 1, ()))
            audio = audio[start:]
        length = min(len(audio), self._length)
        return {"audio": fit(audio, self._length)[None], "audio_lengths": length, "name": file.name}
