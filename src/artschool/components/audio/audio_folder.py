"""Folders of recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from artschool.components.audio.transcripts import missing_message
from artschool.components.datasets.sources import Folder, find_files
from artschool.errors import DataError
from artschool.media.audio import SUFFIXES, UNSUPPORTED, fit, num_samples, read_audio
from artschool.paths import is_dir
from artschool.registry import datasets
from artschool.registry.signature import Count


class Recording(TypedDict):
    """A sample: `audio` (1, T), float32 in -1..1; `audio_lengths`, its samples before the padding; the file `name`."""

    audio: Tensor
    audio_lengths: int
    name: str


@datasets.register
class AudioFolder:
    """All recordings in a folder, sorted by path: mono, at one sample rate, of one length.

    Args:
        path: Folder of recordings, searched recursively for WAV, FLAC, Ogg and MP3 files.
        sample_rate: Sample rate in Hz. Files of another rate are resampled.
        length: Number of audio samples per recording. Longer files are cropped at random, shorter ones padded with
            silence at the end. null: whole files, padded to the longest.
        made_by: Command that creates the folder, shown in the error if the folder is missing. null: no command is
            shown.

    Raises:
        DataError: The folder does not exist or contains no recording.
        ResourceError: soundfile or soxr is not installed.
    """

    def __init__(
        self, *, path: Path, sample_rate: Count, length: Count | None = None, made_by: str | None = None
    ) -> None:
        if not is_dir(path):
            raise DataError("audio_folder: " + missing_message(f"folder {path}", made_by))
        self.names, self.remarks = find_files(Folder(path), SUFFIXES, UNSUPPORTED, "audio_folder: no recordings")
        self._files = [path / name for name in self.names]
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
