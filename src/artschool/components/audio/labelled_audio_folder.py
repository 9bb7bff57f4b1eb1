"""Folders of recordings that are sorted into classes, such as speakers."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from torch import Tensor

from artschool.components.audio.audio_folder import AudioFolder
from artschool.components.datasets.folder_labels import FolderLabels
from artschool.registry import datasets
from artschool.registry.signature import Count


class LabelledRecording(TypedDict):
    """A sample of `audio_folder`, its `label` in 0..K-1, and the name of that class."""

    audio: Tensor
    audio_lengths: int
    label: int
    class_name: str
    name: str


@datasets.register
class LabelledAudioFolder:
    """Recordings in a folder for each class, such as the speakers of `anna/1.wav` and `ben/2.wav`, sorted by path.

    The first folder of the path below `path` is the class. Classes are numbered in the order of their names.
    Recordings outside of a folder are passed over with a note.

    Args:
        path: Folder with a folder for each class, searched recursively for WAV, FLAC, Ogg and MP3 files.
        sample_rate: Sample rate in Hz. Files of another rate are resampled.
        classes: Names of the classes, in the order of their labels. Required for equal labels if some of several data
            sets lack a class. null: all folders with recordings, sorted by name.
        length: Number of audio samples per recording. Longer files are cropped at random, shorter ones padded with
            silence at the end. null: whole files, padded to the longest.
        made_by: Command that creates the folder, shown in the error if the folder is missing. null: no command is
            shown.

    Raises:
        DataError: The folder does not exist or has no recording in a folder, or a folder is not in `classes`.
        ResourceError: soundfile or soxr is not installed.
    """

    def __init__(
        self,
        *,
        path: Path,
        sample_rate: Count,
        classes: list[str] | None = None,
        length: Count | None = None,
        made_by: str | None = None,
    ) -> None:
        self._audio = AudioFolder(path=path, sample_rate=sample_rate, length=length, made_by=made_by)
        self._labels = FolderLabels(
            self._audio.names,
            classes,
            path=path,
            owner="labelled_audio_folder",
            files="recordings",
            example="anna/1.wav",
            plain="audio_folder",
        )
        self.classes = self._labels.classes
        self.remarks = [*self._audio.remarks, *self._labels.remarks]

    def __len__(self) -> int:
        return len(self._labels.indices)

    def __getitem__(self, index: int) -> LabelledRecording:
        label = self._labels.labels[index]
        return {
            **self._audio[self._labels.indices[index]],
            "label": label,
            "class_name": self.classes[label],
        }
