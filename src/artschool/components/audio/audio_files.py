"""Audio files as tensors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from artschool.errors import DataError, ResourceError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
UNSUPPORTED = frozenset((".aac", ".aif", ".aiff", ".amr", ".caf", ".m4a", ".mp4", ".opus", ".sph", ".w64", ".wma"))
"""Endings of other audio files. Files with them are reported when they are passed over."""
LARGEST = 2.0
"""Largest absolute value of a sample, 6 dB above full scale.

Mastering, resampling and lossy codecs exceed 1 by a few dB. Whole numbers that were never divided exceed it by far.
"""


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

    Float files and lossy codecs may exceed the range; values up to `LARGEST` are kept as they are.

    Raises:
        DataError: The file is missing, is not readable audio, has no samples, or its samples are not audio.
        ResourceError: soundfile or soxr is not installed.
    """
    soundfile = _soundfile()
    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _unreadable(file, error) from None
    if problem := _problem(samples):
        raise DataError(f"{file}: {problem}")
    length = -(-len(samples) * sample_rate // rate)
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(1)
    if rate != sample_rate:
        mono = _soxr().resample(mono, rate, sample_rate)
    return fit(torch.from_numpy(mono), length)


def _problem(samples: NDArray[np.float32]) -> str:
    """What makes these samples unusable, and how to fix it; "" if nothing does."""
    if not samples.size:
        return "expected audio, got no samples. Fix: replace the file or remove it"
    # NaN in the samples makes both NaN.
    low, high = (float(end) for end in torch.from_numpy(samples).aminmax())
    if not math.isfinite(low) or not math.isfinite(high):
        return "expected finite samples, got NaN or infinity. Fix: replace the file or remove it"
    if max(-low, high) <= LARGEST:
        return ""
    fix = "divide them by 32768" if max(-low, high) <= 32768 else "scale them"
    return f"expected samples in -1..1, got {low:g}..{high:g}. Fix: {fix}, or remove the file"


def fit(audio: Tensor, length: int) -> Tensor:
    """Cut the audio, or pad it with silence at the end, to (length,)."""
    return audio[:length] if len(audio) >= length else F.pad(audio, (0, length - len(audio)))


def _unreadable(file: Path, error: Any) -> DataError:
    found = str(error.error_string).rstrip(".") if file.exists() else "no file"
    found = f"a broken link to {file.readlink()}" if file.is_symlink() and not file.exists() else found
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
