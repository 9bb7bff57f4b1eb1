"""Voices that are computed: vowels of gliding pitch, with breath. For a first try, without recordings."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor

from artschool import datasets

FORMANTS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))
"""Resonances of vowels in Hz: a, i, u, e. Source: Peterson and Barney 1952."""


class Voice(TypedDict):
    """A sample: `audio` (1, T), float32 in -1..1."""

    audio: Tensor


@datasets.register
class Voices:
    """Vowels, each with a pitch of its own that glides.

    Args:
        sample_rate: Sample rate in Hz.
        length: Number of audio samples per recording.
        count: Number of recordings.
        first: Number of the first recording: other numbers are other voices.
    """

    def __init__(self, *, sample_rate: int, length: int, count: int = 256, first: int = 0) -> None:
        self._rate, self._length, self._count, self._first = sample_rate, length, count, first

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Voice:
        draw = torch.Generator().manual_seed(self._first + index)
        low, high, vowel, breath = torch.rand(4, generator=draw).tolist()
        time = torch.arange(self._length) / self._rate
        pitch = torch.linspace(90 + 120 * low, 90 + 120 * high, self._length)
        phase = 2 * torch.pi * torch.cumsum(pitch, 0) / self._rate
        audio = torch.zeros(self._length)
        for harmonic in range(1, int(self._rate / 2 / 210)):
            distances = torch.stack([(harmonic * pitch - f) / 120 for f in FORMANTS[int(4 * vowel)]])
            audio += (1 / (1 + distances.square())).sum(0) * torch.sin(harmonic * phase)
        audio += 0.3 * breath * torch.randn(self._length, generator=draw)
        rise = torch.clamp(time / 0.02, max=1) * torch.clamp((time[-1] - time) / 0.02, max=1)
        return {"audio": (0.5 * rise * audio / audio.abs().max())[None]}
