"""Audio files: read as samples in -1..1, and written as WAV."""

from __future__ import annotations

import io
import math
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from artschool.errors import DataError
from artschool.extras import extra
from artschool.paths import exists
from artschool.storage.durable import write_file

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
    frames, rate = read_header(file)
    return -(-frames * sample_rate // rate)


def read_header(file: Path) -> tuple[int, int]:
    """The number of samples per channel, and the sample rate.

    Raises:
        DataError: The file is missing or is not readable audio.
        ResourceError: soundfile is not installed.
    """
    soundfile = _soundfile()
    try:
        info = soundfile.info(file)
    except soundfile.LibsndfileError as error:
        raise _unreadable(file, error) from None
    return int(info.frames), int(info.samplerate)


@dataclass(frozen=True)
class Audio:
    """A recording.

    Attributes:
        samples: (channels, T), float32, nominally in -1..1.
        rate: Samples per second.
    """

    samples: Tensor
    rate: int


def read_recording(file: Path) -> Audio:
    """Read a file with its channels and its sample rate.

    Float files and lossy codecs may exceed -1..1; values up to `LARGEST` are kept as they are.

    Raises:
        DataError: The file is missing, is not readable audio, has no samples, or its samples are not audio.
        ResourceError: soundfile is not installed.
    """
    soundfile = _soundfile()
    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _unreadable(file, error) from None
    if problem := _problem(samples):
        raise DataError(f"{file}: {problem}")
    return Audio(torch.from_numpy(samples).T, int(rate))


def read_audio(file: Path, sample_rate: int) -> Tensor:
    """Read a file as (T,), float32 in -1..1, with its channels averaged, resampled to `sample_rate`.

    Raises:
        DataError, ResourceError: As in `read_recording`, or soxr is not installed.
    """
    audio = read_recording(file)
    samples = audio.samples.T.numpy()
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(1)
    return resample(torch.from_numpy(mono), audio.rate, sample_rate)


def resample(audio: Tensor, rate: int, new_rate: int) -> Tensor:
    """Resample (T,) to (ceil(T * new_rate / rate),).

    Raises:
        ResourceError: soxr is not installed.
    """
    length = -(-len(audio) * new_rate // rate)
    if rate != new_rate:
        audio = torch.from_numpy(_soxr().resample(audio.numpy(), rate, new_rate))
    return fit(audio, length)


def write_audio(path: Path, samples: Tensor, rate: int) -> None:
    """Write or replace a WAV file with 16 bits per sample.

    Args:
        samples: (T,) or (channels, T). Values are clamped to -1..1, and NaN becomes 0.

    Raises:
        DataError: The values are not audio.
        ResourceError: The disk is full or cannot be written.
    """
    if path.suffix.lower() != ".wav" or samples.dim() not in (1, 2):
        raise DataError(f"{path}: expected a .wav file with samples (T,) or (C, T), got {tuple(samples.shape)}")
    write_file(path, encode_wav(samples, rate))


def encode_wav(samples: Tensor, rate: int) -> bytes:
    """Encode (T,) or (channels, T) as WAV with 16 bits per sample, clamped to -1..1."""
    channels = samples.detach().float().cpu().nan_to_num().clamp(-1, 1).mul(32767).round().to(torch.int16)
    channels = channels.unsqueeze(0) if channels.dim() == 1 else channels
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(channels.T.contiguous().numpy().astype("<i2").tobytes())
    return buffer.getvalue()


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
    found = str(error.error_string).rstrip(".") if exists(file) else "no file"
    found = f"a broken link to {file.readlink()}" if file.is_symlink() and not exists(file) else found
    return DataError(f"{file}: expected WAV, FLAC, Ogg or MP3 audio, got: {found}. Fix: replace the file or remove it")


def _soundfile() -> Any:
    with extra("audio", "reading audio"):
        import soundfile
    return soundfile


def _soxr() -> Any:
    with extra("audio", "resampling audio"):
        import soxr
    return soxr
