"""Audio files as tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.errors import DataError, ResourceError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def num_samples(file: Path, sample_rate: int) -> int:
    """Return the number of samples that `read_audio` returns, from the header of the file.

    Raises:
        DataError: The file is missing or is not readable audio.
        ResourceError: soundfile is not installed.
    """
    soundfile = _soundfile()
    try:
        info = soundfile.info(file)
    except soundfile.LibsndfileError as error:
        raise _unreadable(file, error) from None
    return -(-int(info.frames) * sample_rate // int(info.samplerate))


def read_audio(file: Path, sample_rate: int) -> Tensor:
    """Read a file as (T,), float32 in -1..1, with its channels averaged, resampled to `sample_rate`.

    Raises:
        DataError: The file is missing or is not readable audio.
        ResourceError: soundfile or soxr is not installed.
    """
    soundfile = _soundfile()
    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _unreadable(file, error) from None
    length = -(-len(samples) * sample_rate // rate)
    mono = samples.mean(1)
    if rate != sample_rate:
        mono = _soxr().resample(mono, rate, sample_rate)
    return fit(torch.from_numpy(mono), length)


def fit(audio: Tensor, length: int) -> Tensor:
    """Cut the audio, or pad it with silence at the end, to (length,)."""
    return F.pad(audio[:length], (0, max(0, length - len(audio))))


def _unreadable(file: Path, error: Any) -> DataError:
    found = str(error.error_string).rstrip(".") if file.exists() else "no file"
    return DataError(f"{file}: expected WAV, FLAC, Ogg or MP3 audio, got: {found}. Fix: replace the file or remove it")


def _soundfile() -> Any:
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise ResourceError(
            "reading audio requires soundfile, which is not installed. Fix: pip install 'artschool[audio]'"
        ) from error
    return soundfile


def _soxr() -> Any:
    try:
        import soxr
    except ModuleNotFoundError as error:
        raise ResourceError(
            "resampling audio requires soxr, which is not installed. Fix: pip install 'artschool[audio]'"
        ) from error
    return soxr
